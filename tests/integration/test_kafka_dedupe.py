"""Edges that tell each other what is durable, on a real broker."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from gateway.core.errors import TooLargeError, Unavailable
from gateway.core.event import Event
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.digests import pack
from gateway.keep.kafka.feed import MOST_PENDING, FeedTimes, SeenFeed
from gateway.keep.kafka.log import KafkaLog
from gateway.keep.kafka.producer import Producer
from gateway.keep.kafka.seen import Seen
from gateway.keep.kafka.topics import seen_topic
from gateway.keep.ports import Appended
from tests.kafka_log import Topics
from tests.kafka_rig import create_topics
from tests.log_builders import make_event, until

PARTITIONS = {"acme": 2}
DEADLINE = 60.0


@dataclass
class Edge:
    """What one edge process has of the log and its dedupe."""

    log: KafkaLog
    feed: SeenFeed
    seen: Seen

    async def append(self, *events: Event) -> list[Appended]:
        return list(await asyncio.wait_for(asyncio.gather(*self.log.append(events)), DEADLINE))

    async def knows(self, events: Sequence[Event]) -> None:
        await until(lambda: all(self.seen.look(event.identity) for event in events), "the ids", DEADLINE)

    async def warm(self) -> None:
        await until(lambda: not self.feed.warming, "the warm start", DEADLINE)


@asynccontextmanager
async def feeding(
    bootstrap: str, topic: str, *, max_ids: int = 10_000, warm: float = 900.0, **times: float
) -> AsyncIterator[tuple[SeenFeed, Seen]]:
    arguments = client_arguments(Cluster(bootstrap=(bootstrap,)))
    seen = Seen(max_ids)
    feed = SeenFeed(seen, arguments, lambda: Producer(arguments), topic=topic, warm=warm, times=FeedTimes(**times))
    running = asyncio.create_task(feed.run())
    try:
        yield feed, seen
    finally:
        await feed.close()
        await asyncio.wait_for(running, 1)


@asynccontextmanager
async def edge(topics: Topics, **options: Any) -> AsyncIterator[Edge]:
    """A warm edge, which is closed as the gateway closes it: the log first, then the feed."""
    arguments = client_arguments(Cluster(bootstrap=(topics.bootstrap,)))
    async with feeding(topics.bootstrap, seen_topic(topics.prefix), **options) as (feed, seen):
        log = KafkaLog(topics.options(), lambda: Producer(arguments), seen, feed.note)
        try:
            assert await log.connected(DEADLINE)
            opened = Edge(log, feed, seen)
            await opened.warm()
            yield opened
        finally:
            await log.close()


@pytest.fixture
async def topics(kafka, kafka_prefix):
    made = Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix, partitions=PARTITIONS)
    await made.create()
    await create_topics(kafka.bootstrap, seen_topic(kafka_prefix))
    return made


async def publish(topics: Topics, *values: bytes | None) -> None:
    kind: Any = AIOKafkaProducer
    producer = kind(bootstrap_servers=topics.bootstrap)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(seen_topic(topics.prefix), value=value, key=b"k")
    finally:
        await producer.stop()


async def published(topics: Topics) -> int:
    """Return how many records the topic of digests has."""
    kind: Any = AIOKafkaConsumer
    consumer = kind(seen_topic(topics.prefix), bootstrap_servers=topics.bootstrap)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(consumer.assignment())).values())
    finally:
        await consumer.stop()


async def test_what_one_edge_stored_is_a_duplicate_at_another(topics):
    events = [make_event(signed=True) for _ in range(20)]
    async with edge(topics) as one, edge(topics) as other:
        await one.append(*events)
        await other.knows(events)

        again = await other.append(*events)

    assert all(appended.duplicate for appended in again)
    assert other.feed.published == 0  # what it learned is not told again


async def test_another_body_under_an_id_that_another_edge_stored_is_a_conflict(topics):
    first, forged = make_event("evt_1"), make_event("evt_1", body=b"{}")
    async with edge(topics) as one, edge(topics) as other:
        await one.append(first)
        await other.knows([first])

        (stored,) = await other.append(forged)
        await until(lambda: one.seen.judge(forged) == "copy", "the second body at the first edge", DEADLINE)
        (again,) = await one.append(forged)

    assert not stored.duplicate
    assert "id_conflict" in stored.flags
    assert again.duplicate


async def test_a_restarted_edge_knows_what_was_stored_in_the_last_minutes(topics):
    events = [make_event() for _ in range(50)]
    async with edge(topics) as before:
        await before.append(*events)

    async with edge(topics) as after:
        again = await after.append(*events)

    assert all(appended.duplicate for appended in again)


async def test_an_edge_reads_back_no_further_than_it_was_told_to(topics):
    old = make_event()
    async with edge(topics) as before:
        await before.append(old)

    async with edge(topics, warm=0.0) as after:
        (again,) = await after.append(old)

    assert not again.duplicate


async def test_what_was_refused_by_the_broker_is_never_told(kafka, kafka_prefix):
    topics = Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix, partitions=PARTITIONS)
    await topics.create(**{"max.message.bytes": "2000"})
    await create_topics(kafka.bootstrap, seen_topic(kafka_prefix))
    refused, taken = make_event(body=b"x" * 5000), make_event()
    async with edge(topics) as one, edge(topics) as other:
        with pytest.raises((Unavailable, TooLargeError)):
            await one.append(refused)
        await one.append(taken)
        await other.knows([taken])

        assert one.feed.published == 1
        assert one.seen.judge(refused) == other.seen.judge(refused) == "new"


async def test_what_is_not_yet_acknowledged_is_not_told(topics, kafka):
    event = make_event()
    async with edge(topics) as one:
        kafka.freeze()
        (future,) = one.log.append([event])
        await until(lambda: one.log.health().queued_events, "the append")

        assert one.seen.judge(event) == "new"
        assert not one.feed.published

        kafka.thaw()
        await asyncio.wait([future], timeout=DEADLINE)
        future.exception()  # it may have failed meanwhile; an outcome that is unknown is told to nobody either
        assert (one.seen.judge(event) == "copy") == (future.exception() is None)


async def test_ids_beyond_the_bound_are_forgotten_and_their_events_stored_again(topics):
    events = [make_event() for _ in range(100)]
    async with edge(topics, max_ids=50) as one, edge(topics, max_ids=50) as other:
        await one.append(*events)
        await other.knows(events[-1:])

        oldest, newest = await other.append(events[0], events[-1])

    assert not oldest.duplicate
    assert newest.duplicate
    assert len(one.seen) == 50


async def test_records_of_another_version_and_garbage_are_passed_over_and_counted(topics):
    foreign = pack(b"edge-two", b"i" * 16 + b"d" * 8)
    async with edge(topics) as one:
        await publish(topics, b"gws9" + foreign[4:], b"{}", None, foreign[:-1], foreign)

        await until(lambda: one.seen.look(b"i" * 16) == b"d" * 8, "the good record", DEADLINE)

        assert one.feed.unreadable == 4
        assert len(one.seen) == 1


async def test_many_ids_travel_in_few_records(topics):
    ids = [os.urandom(16) for _ in range(12_000)]
    async with edge(topics) as one, edge(topics, max_ids=20_000) as other:
        for identity in ids:
            one.feed.note(identity, b"d" * 32)

        await until(lambda: len(other.seen) == len(ids), "all ids", DEADLINE)

    assert one.feed.published == len(ids)
    assert one.feed.failed == 0
    assert await published(topics) <= 10


async def test_what_is_noted_last_is_told_once_before_the_feed_closes(topics):
    identity = os.urandom(16)
    async with edge(topics) as one:
        one.feed.note(identity, b"d" * 8)
        one.feed.note(identity, b"d" * 8)

    assert one.feed.published == 1
    async with edge(topics) as other:
        assert other.seen.look(identity) == b"d" * 8


async def test_the_lag_grows_while_the_broker_is_silent_and_is_0_when_all_is_read(topics, kafka):
    async with edge(topics) as one:
        assert one.feed.lag_seconds == 0

        kafka.freeze()
        await until(lambda: one.feed.lag_seconds > 0, "the lag", DEADLINE)
        kafka.thaw()

        await until(lambda: one.feed.lag_seconds == 0, "no lag", DEADLINE)


async def test_clients_that_hear_nothing_are_replaced_and_what_they_missed_is_read(topics, kafka, caplog):
    event = make_event()
    async with edge(topics, warm=0.0, silent=1.0, backoff=3.0) as one, edge(topics) as other:
        kafka.freeze()
        await until(lambda: "dedupe.feed_down" in caplog.text, "the complaint", DEADLINE)
        kafka.thaw()
        other.feed.note(event.identity, event.body_sha256)
        await until(lambda: other.feed.published, "the id", DEADLINE)

        await one.knows([event])
        await until(lambda: one.feed.lag_seconds == 0, "no lag", DEADLINE)


async def test_a_warm_start_that_takes_too_long_is_cut_short_and_what_comes_then_is_learned(topics):
    old, new = [os.urandom(16) for _ in range(2)]
    async with edge(topics) as one:
        one.feed.note(old, b"d" * 8)
        await until(lambda: one.feed.published, "the old id", DEADLINE)

        async with edge(topics, warm_within=0.0) as other:
            assert other.seen.look(old) is None
            one.feed.note(new, b"d" * 8)

            await until(lambda: other.seen.look(new), "the new id", DEADLINE)
            assert other.feed.lag_seconds == 0


async def test_the_lag_is_0_while_ids_come_and_go(topics):
    async with edge(topics) as one, edge(topics) as other:
        for number in range(60):  # some seconds of it, at one record each 50 ms
            identity = number.to_bytes(16, "big")
            other.feed.note(identity, b"d" * 8)
            await until(partial(one.seen.look, identity), "the id", DEADLINE)

        await until(lambda: one.feed.lag_seconds == 0, "no lag", 8.0)


async def test_edges_find_each_other_again_after_the_broker_was_killed(topics, kafka):
    event = make_event()
    async with edge(topics) as one, edge(topics) as other:
        kafka.kill()
        await asyncio.to_thread(kafka.restart)
        await until(lambda: not (one.feed.lag_seconds or other.feed.lag_seconds), "both feeds", DEADLINE)

        one.feed.note(event.identity, event.body_sha256)

        await other.knows([event])


async def test_a_missing_topic_is_no_error_and_is_found_when_it_is_made(kafka, kafka_prefix, caplog):
    topic, identity = seen_topic(kafka_prefix), os.urandom(16)
    async with feeding(kafka.bootstrap, topic) as (one, _), feeding(kafka.bootstrap, topic) as (_, other):
        one.note(identity, b"d" * 8)
        await until(lambda: "dedupe.feed_down" in caplog.text, "the complaint", DEADLINE)
        await create_topics(kafka.bootstrap, topic)

        await until(lambda: other.look(identity), "the id", DEADLINE)


async def test_with_the_cluster_absent_ids_are_remembered_and_no_more_wait_than_may():
    async with feeding("127.0.0.1:1", "absent.seen", max_ids=200_000) as (feed, seen):
        for number in range(MOST_PENDING + 10):
            feed.note(number.to_bytes(16, "big"), b"d" * 8)

        assert len(seen) == MOST_PENDING + 10
        assert feed.failed == 10
        assert feed.warming
