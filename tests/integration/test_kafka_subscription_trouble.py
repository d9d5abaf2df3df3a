"""The worker's reading of Kafka when the cluster, the client or the log is in trouble."""

import dataclasses
from typing import Any

import pytest
from aiokafka.consumer import fetcher

from deploy.local.processes import free_ports
from gateway.keep.kafka.bridge import tell
from gateway.keep.kafka.client import Cluster
from gateway.keep.kafka.consumer import Membership
from gateway.keep.kafka.subscription import KafkaSubscription
from gateway.keep.ports import Position
from tests.kafka_reader_rig import (
    QUICK,
    Reader,
    SourceTopic,
    collect,
    consumer_of,
    ids,
    paced,
    source_topic,
    until,
)
from tests.kafka_rig import Kafka, create_topics
from tests.tcp_proxy import TcpProxy
from tests.worker_rig import FakeClock


def names(*numbers: int) -> list[str]:
    return [f"evt_{number}" for number in numbers]


async def test_without_a_cluster_a_fetch_is_empty_after_its_second(kafka: Kafka, kafka_prefix: str) -> None:
    membership = Membership(router="r", group=f"{kafka_prefix}.r", topics={"acme": f"{kafka_prefix}.events.acme"})
    nowhere = Cluster(bootstrap=("127.0.0.1:9",))
    subscription = KafkaSubscription(nowhere, membership, now_us=FakeClock(), pace=QUICK)

    for _ in range(2):
        assert await subscription.fetch(max_events=1, max_bytes=1) == []

    assert (await subscription.backlog()).events == 0
    assert subscription.committed() == {}
    await subscription.close()
    assert await subscription.fetch(max_events=1, max_bytes=1) == ()


async def test_a_cluster_that_comes_later_is_read_then(kafka: Kafka, kafka_prefix: str) -> None:
    (port,) = free_ports(1)
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1)
        reader = readers.open(bootstrap=(f"127.0.0.1:{port}",))
        assert await reader.subscription.fetch(max_events=1, max_bytes=1) == []

        with TcpProxy(kafka.broker.node.port, port=port):
            assert ids(await collect(reader.subscription, 1)) == names(1)


async def test_a_cluster_that_was_away_is_read_again_without_a_restart(
    kafka: Kafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1)
        early, late = readers.open(), readers.open()
        assert ids(await collect(early.subscription, 1)) == names(1)
        early.subscription.commit({readers.topic.partitions[0]: 0})
        await readers.topic.until_committed({0: 1})

        kafka.kill()
        assert await late.subscription.fetch(max_events=1, max_bytes=1) == []
        await late.subscription.close()
        kafka.restart()
        await readers.topic.put(2)

        assert ids(await collect(early.subscription, 1)) == names(2)
        assert "subscription.consumer_replaced" not in [one.message for one in caplog.records]


async def test_a_cluster_whose_addresses_changed_is_found_by_the_configured_ones(kafka_prefix: str) -> None:
    old, new = free_ports(2)
    server = MovingKafka(old)
    try:
        server.start()
        topic = SourceTopic(server.bootstrap, kafka_prefix, 1)
        await create_topics(server.bootstrap, topic.name)
        await topic.put(1)
        reader = Reader(topic, pace=paced(unheard=1.0), bootstrap=(f"127.0.0.1:{old}", f"127.0.0.1:{new}"))
        assert ids(await collect(reader.subscription, 1)) == names(1)
        reader.subscription.commit({topic.partitions[0]: 0})
        await topic.until_committed({0: 1})

        server.move(new)
        topic.bootstrap = server.bootstrap
        await topic.put(2)

        assert ids(await collect(reader.subscription, 1)) == names(2)
        await reader.subscription.close()
    finally:
        server.end()


@pytest.mark.parametrize("inner", ["_fetcher._fetch_task", "_coordinator._coordination_task"])
async def test_a_consumer_whose_inner_task_ended_is_replaced(kafka: Kafka, kafka_prefix: str, inner: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1)
        reader = readers.open()
        await collect(reader.subscription, 1)
        reader.subscription.commit({readers.topic.partitions[0]: 0})
        part, task = inner.split(".")
        victim = getattr(getattr(consumer_of(reader), part), task)

        tell(victim.get_loop(), victim.cancel)
        await until(lambda: len(reader.assignment.told) == 3)
        await readers.topic.put(2)

        assert ids(await collect(reader.subscription, 1)) == names(2)
        assert [word for word, _ in reader.assignment.told] == ["assigned", "revoking", "assigned"]


async def test_a_consumer_that_stands_still_is_replaced(
    kafka: Kafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1)
        reader = readers.open()
        await collect(reader.subscription, 1)
        inner = consumer_of(reader)
        tell(inner._loop, lambda: inner.pause(*inner.assignment()))
        await until(inner.paused)

        await readers.topic.put(2)

        assert ids(await collect(reader.subscription, 2)) == names(1, 2)
        assert "subscription.consumer_replaced" in [one.message for one in caplog.records]


async def test_a_batch_that_cannot_be_read_holds_up_its_partition_alone_and_loses_nothing(
    kafka: Kafka, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damage = DamagedBatch(offset=2)
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        bad, good = readers.topic.partitions
        for number in range(4):
            await readers.topic.put(number, partition=0)
        monkeypatch.setattr(fetcher, "MemoryRecords", damage.records)
        reader = readers.open()
        found = await collect(reader.subscription, 2)
        await until(lambda: "subscription.batch_unreadable" in [one.message for one in caplog.records])
        await readers.topic.put(10, partition=1)
        found += await collect(reader.subscription, 1)

        assert [stored.position for stored in found] == [Position(bad, 0), Position(bad, 1), Position(good, 0)]
        assert reader.assignment.told == [("assigned", frozenset({bad, good}))]


class MovingKafka(Kafka):
    """A broker of the test's own, whom clients find at an address that can change."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._listen_at(port)

    def move(self, port: int) -> None:
        self.stop()
        self._listen_at(port)
        self.restart()

    def _listen_at(self, port: int) -> None:
        self.broker.node = dataclasses.replace(self.broker.node, port=port)


class DamagedBatch:
    """Makes the checksum of one batch wrong, wherever it is read."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._real: Any = vars(fetcher)["MemoryRecords"]

    def records(self, data: bytes) -> object:
        return _DamagedRecords(self._real(data), self._offset)


class _DamagedRecords:
    def __init__(self, real: Any, offset: int) -> None:
        self._real = real
        self._offset = offset

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def next_batch(self):
        batch = self._real.next_batch()
        return _DamagedOne(batch) if batch.base_offset == self._offset else batch


class _DamagedOne:
    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def validate_crc(self) -> bool:
        return False
