"""Reading stored events again on Kafka, and what commands ask of the log and of groups."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.local.processes import free_ports
from gateway.core.errors import DependencyError
from gateway.keep.kafka.client import Cluster
from gateway.keep.kafka.history import KafkaHistory
from gateway.keep.kafka.registering import (
    begin_positions,
    commit_positions,
    committed_positions,
    end_positions,
    ends,
    read_one,
    read_record_at,
)
from gateway.keep.places import partition_number
from gateway.keep.ports import Filter, Position, Stored
from tests.kafka_reader_rig import DEADLINE, SourceTopic, collect, consumer_starts, ids, source_topic, until
from tests.kafka_rig import Kafka, create_topics
from tests.tcp_proxy import TcpProxy
from tests.worker_rig import START_US, make_event

NOWHERE = Cluster(bootstrap=("127.0.0.1:9",))


def cluster_of(kafka: Kafka) -> Cluster:
    return Cluster(bootstrap=(kafka.bootstrap,))


def names(*numbers: int) -> list[str]:
    return [f"evt_{number}" for number in numbers]


@asynccontextmanager
async def history_of(kafka: Kafka, *topics: SourceTopic) -> AsyncIterator[KafkaHistory]:
    history = KafkaHistory(cluster_of(kafka), {topic.source: topic.name for topic in topics})
    try:
        yield history
    finally:
        await history.close()


async def read_all(history: KafkaHistory, where: Filter, *, after=None, upto, most: int = 100) -> list[Stored]:
    """Read as a replay does, until nothing comes."""
    at = dict(after or {})
    found: list[Stored] = []
    async with asyncio.timeout(DEADLINE):
        while batch := await history.read(where, after=at, upto=upto, max_events=most, max_bytes=2**20):
            assert len(batch) <= most
            found += batch
            at.update(stored.position for stored in batch)
    return found


async def test_what_lies_between_after_and_upto_is_read_in_order(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        (partition,) = readers.topic.partitions
        await readers.topic.put(*range(10))

        assert ids(await read_all(history, Filter(), after={partition: 2}, upto={partition: 6})) == names(3, 4, 5, 6)
        assert ids(await read_all(history, Filter(), upto={partition: 1})) == names(0, 1)
        assert await read_all(history, Filter(), upto={}) == []
        assert await read_all(history, Filter(), after={partition: 6}, upto={partition: 6}) == []


async def test_every_partition_is_read_in_its_own_order(kafka: Kafka, kafka_prefix: str) -> None:
    async with (
        source_topic(kafka.bootstrap, kafka_prefix, partitions=3) as readers,
        history_of(kafka, readers.topic) as history,
    ):
        first, second, _ = readers.topic.partitions
        for number in range(3):
            await readers.topic.put(*range(10 * number, 10 * number + 5), partition=number)

        found = await read_all(history, Filter(), after={first: 3}, upto={first: 4, second: 2}, most=2)

        assert {stored.position.partition for stored in found} == {first, second}
        assert [s.position.offset for s in found if s.position.partition == first] == [4]
        assert [s.position.offset for s in found if s.position.partition == second] == [0, 1, 2]


async def test_only_what_fits_the_filter_comes(kafka: Kafka, kafka_prefix: str) -> None:
    odd = [
        make_event(1, type="a", key="k1"),
        make_event(2, type="b", key="k2"),
        make_event(3, type="b", received_us=START_US + 5),
        make_event(4, type="b", received_us=START_US + 9),
    ]
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        upto = {readers.topic.partitions[0]: 3}
        await readers.topic.put_events(odd)

        for where, wanted in [
            (Filter(type="b"), names(2, 3, 4)),
            (Filter(id="evt_3"), names(3)),
            (Filter(key="k1"), names(1)),
            (Filter(since_us=START_US + 5), names(3, 4)),
            (Filter(until_us=START_US + 9), names(1, 2, 3)),
            (Filter(since_us=START_US + 6, until_us=START_US + 9), []),
            (Filter(source="acme"), names(1, 2, 3, 4)),
            (Filter(source="other"), []),
        ]:
            assert ids(await read_all(history, where, upto=upto)) == wanted, where


async def test_a_time_that_no_record_reached_ends_at_once(kafka: Kafka, kafka_prefix: str) -> None:
    far = START_US + 10**15
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        await readers.topic.put(1, 2)

        assert await read_all(history, Filter(since_us=far), upto={readers.topic.partitions[0]: 1}) == []


async def test_several_topics_are_read_and_a_source_narrows_them(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        other = SourceTopic(kafka.bootstrap, kafka_prefix, 1, source="other")
        await create_topics(kafka.bootstrap, other.name)
        await readers.topic.put(1)
        await other.put_events([make_event(2, source="other")])
        upto = {readers.topic.partitions[0]: 0, other.partitions[0]: 0, partition_number("gone", 0): 7}
        async with history_of(kafka, readers.topic, other) as history:
            assert sorted(ids(await read_all(history, Filter(), upto=upto))) == names(1, 2)
            assert ids(await read_all(history, Filter(source="other"), upto=upto)) == names(2)


async def test_successive_reads_go_on_without_another_start(
    kafka: Kafka, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = consumer_starts(monkeypatch)
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        upto = {readers.topic.partitions[0]: 49}
        await readers.topic.put(*range(50))

        assert ids(await read_all(history, Filter(), upto=upto, most=7)) == names(*range(50))
        assert len(started) == 1
        assert ids(await read_all(history, Filter(), upto=upto, most=20)) == names(*range(50))
        assert len(started) == 2


async def test_a_read_keeps_to_its_bytes_but_returns_one(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        upto = {readers.topic.partitions[0]: 4}
        await readers.topic.put_events([make_event(number, body=b"x" * 1000) for number in range(5)])

        first = await history.read(Filter(), after={}, upto=upto, max_events=100, max_bytes=1)
        at = dict(stored.position for stored in first)
        second = await history.read(Filter(), after=at, upto=upto, max_events=100, max_bytes=3500)

        assert ids([*first, *second]) == names(0, 1, 2)


async def test_what_retention_took_is_passed_over(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        (partition,) = readers.topic.partitions
        await readers.topic.put(*range(6))
        await readers.topic.delete_before(4)

        assert ids(await read_all(history, Filter(), after={partition: 1}, upto={partition: 5})) == names(4, 5)
        assert await read_all(history, Filter(), upto={partition: 2}) == []


async def test_an_end_that_the_log_does_not_have_any_more_is_not_waited_for(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        (partition,) = readers.topic.partitions
        await readers.topic.put(1, 2)

        assert ids(await read_all(history, Filter(), upto={partition: 99})) == names(1, 2)
        assert await read_all(history, Filter(), after={partition: 50}, upto={partition: 99}) == []


async def test_a_read_waits_for_a_cluster_that_is_away(
    kafka: Kafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    away = Cluster(bootstrap=(f"127.0.0.1:{port}",))
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1, 2)
        history = KafkaHistory(away, {readers.topic.source: readers.topic.name})
        reading = asyncio.create_task(read_all(history, Filter(), upto={readers.topic.partitions[0]: 1}))
        await until(lambda: "history.cluster_unreachable" in [one.message for one in caplog.records])

        with TcpProxy(kafka.broker.node.port, port=port):
            assert ids(await reading) == names(1, 2)
        await history.close()


async def test_a_read_that_is_cancelled_spoils_nothing(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers, history_of(kafka, readers.topic) as history:
        upto = {readers.topic.partitions[0]: 2}
        await readers.topic.put(1, 2, 3)
        reading = asyncio.create_task(history.read(Filter(), after={}, upto=upto, max_events=1, max_bytes=1))
        await asyncio.sleep(0)
        reading.cancel()

        assert ids(await read_all(history, Filter(), upto=upto)) == names(1, 2, 3)


# What commands ask


async def test_the_ends_and_beginnings_of_all_partitions_are_told(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        one, other = readers.topic.partitions
        topics = {readers.topic.source: readers.topic.name}
        await readers.topic.put(1, 2, 3, partition=0)
        await readers.topic.delete_before(2, partition=0)

        assert await ends(cluster_of(kafka), topics) == {one: 3, other: 0}
        assert await end_positions(cluster_of(kafka), topics) == {one: 2, other: -1}
        assert await begin_positions(cluster_of(kafka), topics) == {one: 1, other: -1}


async def test_a_new_routers_positions_are_where_its_group_begins(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        one, other = readers.topic.partitions
        topics = {readers.topic.source: readers.topic.name}
        await readers.topic.put(1, 2, 3, partition=0)
        positions = {one: 1, other: -1, partition_number("gone", 0): 4}

        await commit_positions(cluster_of(kafka), readers.topic.group, topics, positions)

        assert await committed_positions(cluster_of(kafka), readers.topic.group, topics) == {one: 1, other: -1}
        assert ids(await collect(readers.open().subscription, 1)) == names(3)


async def test_the_positions_of_a_group_that_is_being_read_are_left_alone(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        topics = {readers.topic.source: readers.topic.name}
        await readers.topic.put(1)
        await collect(readers.open().subscription, 1)

        with pytest.raises(DependencyError, match="is being read"):
            await commit_positions(cluster_of(kafka), readers.topic.group, topics, {readers.topic.partitions[0]: 0})


async def test_one_record_is_read_by_its_position(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        topics = {readers.topic.source: readers.topic.name}
        await readers.topic.put(1, 2, 3)
        await readers.topic.delete_before(1)

        found = await asyncio.to_thread(read_one, cluster_of(kafka), topics, Position(partition, 1))
        assert found is not None
        assert ids([found]) == names(2)
        for gone in (Position(partition, 0), Position(partition, 3), Position(partition_number("gone", 0), 0)):
            assert await read_record_at(cluster_of(kafka), topics, gone) is None


async def test_a_missing_topic_is_named(kafka: Kafka, kafka_prefix: str) -> None:
    with pytest.raises(DependencyError, match=f"topic {kafka_prefix} is missing; `gateway topics create`"):
        await ends(cluster_of(kafka), {"acme": kafka_prefix})


async def test_a_cluster_that_does_not_answer_is_a_dependency_that_is_missing() -> None:
    with pytest.raises(DependencyError, match=r"127\.0\.0\.1:9"):
        await ends(NOWHERE, {"acme": "t"})
