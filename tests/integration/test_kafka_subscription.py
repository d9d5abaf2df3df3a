"""The worker's reading of Kafka, on a real broker."""

import asyncio
import logging
import time

import pytest

from gateway.core.errors import DependencyError
from gateway.keep.kafka import member as member_module
from gateway.keep.ports import Position
from tests.kafka_reader_rig import (
    DEADLINE,
    QUICK,
    KeptPlaces,
    collect,
    consumer_of,
    evict_all,
    ids,
    paced,
    seldom_commits,
    share,
    source_topic,
    until,
)
from tests.kafka_rig import Kafka
from tests.worker_rig import make_event


def names(*numbers: int) -> list[str]:
    return [f"evt_{number}" for number in numbers]


# Order and positions


async def test_records_come_in_order_with_their_positions(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1, 2, 3)

        found = await collect(readers.open().subscription, 3)

        assert ids(found) == names(1, 2, 3)
        assert [stored.position for stored in found] == [Position(readers.topic.partitions[0], n) for n in range(3)]


async def test_reading_goes_on_after_what_was_committed(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        await readers.topic.put(1, 2, 3, 4)
        first = readers.open()
        await collect(first.subscription, 4)
        first.subscription.commit({partition: 1})
        await first.subscription.close()

        assert await readers.topic.committed() == {0: 2}
        assert ids(await collect(readers.open().subscription, 2)) == names(3, 4)


async def test_a_commit_reaches_the_group_while_reading(kafka: Kafka, kafka_prefix: str) -> None:
    places = KeptPlaces()
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        await readers.topic.put(1, 2, 3)
        reader = readers.open(places=places)
        await collect(reader.subscription, 3)

        reader.subscription.commit({partition: 1})

        await readers.topic.until_committed({0: 2})
        await until(lambda: places.kept == {partition: 1})


async def test_a_commit_never_goes_back_nor_past_what_was_fetched(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        await readers.topic.put(*range(10))
        reader = readers.open()
        await collect(reader.subscription, 5)
        reader.subscription.commit({partition: 3})
        await readers.topic.until_committed({0: 4})

        reader.subscription.commit({partition: 1})
        reader.subscription.commit({partition: 5})
        reader.subscription.commit({partition + 1: 1})

        assert reader.subscription.committed() == {partition: 3}
        await reader.subscription.close()
        assert await readers.topic.committed() == {0: 4}


async def test_an_unreadable_record_comes_with_its_error(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put_raw(b"{}", headers=[("ce_envelope", b"99")])
        await readers.topic.put_raw(None, headers=[])
        await readers.topic.put(1)

        found = await collect(readers.open().subscription, 3)

        assert ids(found) == ["!envelope version 99", "!envelope version ?", "evt_1"]
        assert [stored.position.offset for stored in found] == [0, 1, 2]


# Where reading begins


async def test_a_new_router_without_a_place_begins_at_the_beginning_and_keeps_that(
    kafka: Kafka, kafka_prefix: str
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1, 2, 3)
        await readers.topic.delete_before(1)
        reader = readers.open()

        assert ids(await collect(reader.subscription, 2)) == names(2, 3)
        await readers.topic.until_committed({0: 1})  # so that what retention takes from now on is noticed
        assert (await reader.subscription.backlog()).gap_events == 0


async def test_a_group_that_lost_its_position_goes_on_from_the_stores_copy(
    kafka: Kafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1, 2, 3)
        reader = readers.open(places=KeptPlaces({readers.topic.partitions[0]: 1}))

        assert ids(await collect(reader.subscription, 1)) == names(3)
        assert ("subscription.position_lost", logging.ERROR) in [(one.message, one.levelno) for one in caplog.records]


async def test_what_retention_took_before_it_was_read_is_counted_and_said(
    kafka: Kafka, kafka_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(*range(10))
        await readers.topic.commit({0: 2})
        await readers.topic.delete_before(6)
        places = KeptPlaces()
        reader = readers.open(places=places)

        assert ids(await collect(reader.subscription, 4)) == names(6, 7, 8, 9)
        assert (await reader.subscription.backlog()).gap_events == 4
        await until(lambda: places.gaps == {(readers.topic.partitions[0], 1): 4})
        assert ("subscription.gap", logging.ERROR) in [(one.message, one.levelno) for one in caplog.records]
        await readers.topic.until_committed({0: 6})  # so that the next start does not count it again


async def test_what_retention_takes_during_the_reading_is_counted(kafka: Kafka, kafka_prefix: str) -> None:
    body = b"x" * 100_000  # the client fetches about ten of these ahead
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put_events([make_event(number, body=body) for number in range(40)])
        reader = readers.open(pace=paced(ahead_events=1))
        found = await collect(reader.subscription, 1, max_events=1)

        await readers.topic.delete_before(38)
        async with asyncio.timeout(DEADLINE):
            while found[-1].position.offset < 39:
                found += await reader.subscription.fetch(max_events=1, max_bytes=1)

        offsets = [stored.position.offset for stored in found]
        assert offsets == sorted(set(offsets))
        gap = (await reader.subscription.backlog()).gap_events
        assert len(offsets) + gap == 40
        assert gap > 0


async def test_a_position_beyond_the_end_is_refused_with_the_remedy(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1, 2)
        await readers.topic.commit({0: 50})
        reader = readers.open()

        with pytest.raises(DependencyError) as refusal:
            await collect(reader.subscription, 1)

        for word in (readers.topic.name, "50", "end 2", "gateway routers forget r"):
            assert word in str(refusal.value)
        assert await readers.topic.committed() == {0: 50}


# Several members


async def test_a_member_that_leaves_hands_over_without_loss(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        left, right = readers.topic.partitions
        one, other = readers.open(), readers.open()
        await share(one, other)
        await readers.topic.put(1, 2, 3, partition=0)
        await readers.topic.put(4, 5, 6, partition=1)
        mine, theirs = await collect(one.subscription, 3), await collect(other.subscription, 3)
        assert {*ids(mine), *ids(theirs)} == set(names(1, 2, 3, 4, 5, 6))
        (going,) = other.subscription.committed()
        other.subscription.commit({going: 1})

        await other.subscription.close()

        (staying,) = {left, right} - {going}
        again = await collect(one.subscription, 4)  # what was not committed of either
        assert [s.position for s in again if s.position.partition == going] == [Position(going, 2)]
        assert [s.position.offset for s in again if s.position.partition == staying] == [0, 1, 2]


async def test_what_a_member_committed_is_not_read_again_by_anyone(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        await readers.topic.put(1, 2, 3, partition=0)
        await readers.topic.put(4, 5, 6, partition=1)
        one = readers.open(pace=seldom_commits())
        await collect(one.subscription, 6)
        one.subscription.commit(dict.fromkeys(readers.topic.partitions, 2))

        other = readers.open()  # its coming takes everything from the first for a moment
        await share(one, other)
        await readers.topic.put(7, partition=0)
        await readers.topic.put(8, partition=1)

        found = [*await collect(one.subscription, 1), *await collect(other.subscription, 1)]
        assert sorted(ids(found)) == names(7, 8)


async def test_records_read_ahead_of_a_revoked_partition_are_not_returned(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        await readers.topic.put(*range(100), partition=0)
        await readers.topic.put(*range(100, 200), partition=1)
        one = readers.open()
        await collect(one.subscription, 10)
        await until(lambda: len(one.subscription._handover._records) == 190)
        during: list[object] = []
        one.assignment.leaving = lambda: during.extend(one.subscription._handover.take(1000, 2**30))

        other = readers.open()
        await share(one, other)

        assert during == []
        found = await collect(one.subscription, 100)
        assert {stored.position.partition for stored in found} == set(one.subscription.committed())
        assert [stored.position.offset for stored in found] == list(range(100))
        assert await one.subscription.fetch(max_events=10, max_bytes=10) == []


async def test_nothing_is_fetched_before_the_worker_is_ready(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(1)
        reader = readers.open()
        reader.assignment.ready.clear()
        for _ in range(3):
            assert await reader.subscription.fetch(max_events=10, max_bytes=10) == []

        reader.assignment.ready.set()

        assert ids(await collect(reader.subscription, 1)) == names(1)
        assert reader.assignment.told == [("assigned", frozenset(readers.topic.partitions))]


async def test_a_partition_goes_to_the_next_only_when_the_worker_has_let_go(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        await readers.topic.put(1, partition=0)
        await readers.topic.put(2, partition=1)
        one, other = readers.open(), readers.open()
        await collect(one.subscription, 2)
        held, told = asyncio.Event(), one.assignment.told
        one.assignment.lets_go.clear()
        one.assignment.leaving = held.set  # not before the gate opens
        for _ in range(2):
            assert await other.subscription.fetch(max_events=10, max_bytes=10) == []
        assert (held.is_set(), len(told)) == (False, 1)
        one.subscription.commit({readers.topic.partitions[0]: 0})  # what ends meanwhile counts

        one.assignment.lets_go.set()
        await share(one, other)

        assert [word for word, _ in told][:3] == ["assigned", "revoking", "assigned"]
        assert (await readers.topic.committed())[0] == 1


async def test_a_worker_that_does_not_let_go_in_time_loses_its_say(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix, partitions=2) as readers:
        await readers.topic.put(1, partition=0)
        await readers.topic.put(2, partition=1)
        one, other = readers.open(pace=paced(rebalance=6.0)), readers.open(pace=paced(rebalance=6.0))
        await collect(one.subscription, 2)
        one.assignment.lets_go.clear()

        assert len(await collect(other.subscription, 1)) == 1

        one.subscription.commit(dict.fromkeys(readers.topic.partitions, 0))
        assert one.subscription.committed() == {}
        assert await one.subscription.fetch(max_events=10, max_bytes=10) == []  # not before it has let go
        one.assignment.lets_go.set()
        assert len(await collect(one.subscription, 1)) == 1
        assert [word for word, _ in one.assignment.told] == ["assigned", "revoking", "assigned"]


async def test_a_worker_whose_loop_is_blocked_stays_a_member(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        await readers.topic.put(1, 2)
        reader = readers.open()
        await collect(reader.subscription, 2)

        time.sleep(QUICK.session + 2.0)  # noqa: ASYNC251 - the handler that blocks

        reader.subscription.commit({partition: 1})
        await readers.topic.until_committed({0: 2})
        assert reader.assignment.told == [("assigned", frozenset({partition}))]


async def test_a_member_that_lost_its_place_in_the_group_commits_nothing_and_comes_back(
    kafka: Kafka, kafka_prefix: str
) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        (partition,) = readers.topic.partitions
        await readers.topic.commit({0: 0})
        await readers.topic.put(1, 2, 3)
        reader = readers.open(pace=seldom_commits())
        await collect(reader.subscription, 3)
        reader.subscription.commit({partition: 1})

        await evict_all(readers.topic)  # an empty group would take a commit of no generation

        assert ids(await collect(reader.subscription, 3)) == names(1, 2, 3)
        assert [word for word, _ in reader.assignment.told] == ["assigned", "revoking", "assigned"]
        assert await readers.topic.committed() == {0: 0}


# Backpressure


async def test_what_a_worker_does_not_fetch_is_not_piled_up(
    kafka: Kafka, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_module, "_PAUSE_AFTER", 0.1)
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put(*range(3000))
        reader = readers.open(pace=paced(ahead_events=100))
        found = await collect(reader.subscription, 1)
        inner = consumer_of(reader)
        await until(lambda: inner.paused() and not inner._fetcher._records)

        assert len(reader.subscription._handover._records) < 600
        found += await collect(reader.subscription, 2999)
        assert [stored.position.offset for stored in found] == list(range(3000))


async def test_a_fetch_keeps_to_its_bounds(kafka: Kafka, kafka_prefix: str) -> None:
    async with source_topic(kafka.bootstrap, kafka_prefix) as readers:
        await readers.topic.put_events([make_event(number, body=b"x" * 1000) for number in range(9)])
        reader = readers.open()
        first = await collect(reader.subscription, 1)
        await until(lambda: len(reader.subscription._handover._records) == 8)

        three = await reader.subscription.fetch(max_events=3, max_bytes=2**20)
        one = await reader.subscription.fetch(max_events=100, max_bytes=1)
        rest = await reader.subscription.fetch(max_events=100, max_bytes=3500)

        assert ids([*first, *three, *one]) == names(0, 1, 2, 3, 4)
        assert ids(rest) == names(5, 6)  # with what else a record carries, three are more than that
