"""Subscriptions to real topics, and what the tests of reading do with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.protocol.group import LeaveGroupRequest

from gateway.core.event import Event
from gateway.keep.envelope import to_record
from gateway.keep.kafka.client import Cluster
from gateway.keep.kafka.consumer import Membership, Pace
from gateway.keep.kafka.subscription import KafkaSubscription
from gateway.keep.places import partition_number
from gateway.keep.ports import Stored, Subscription
from tests.kafka_rig import admin, create_topics
from tests.worker_rig import FakeClock, make_event

# A broker refuses sessions below six seconds.
QUICK = Pace(session=6.0, heartbeat=0.3, rebalance=15.0, commit_every=0.05, commit_within=5.0, stuck=4.0, unheard=4.0)
DEADLINE = 60.0


@dataclass
class Recorder:
    """An assignment that writes down what it is told; the gates hold it up."""

    told: list[tuple[str, frozenset[int]]] = field(default_factory=list)
    owned: set[int] = field(default_factory=set)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    lets_go: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.ready.set()
        self.lets_go.set()

    async def assigned(self, partitions: Collection[int]) -> None:
        await self.ready.wait()
        self.told.append(("assigned", frozenset(partitions)))
        self.owned |= set(partitions)

    async def revoking(self, partitions: Collection[int]) -> None:
        await self.lets_go.wait()
        self.leaving()
        self.told.append(("revoking", frozenset(partitions)))
        self.owned -= set(partitions)


class KeptPlaces:
    """The store's copy of a router's positions, in memory, and its gaps."""

    def __init__(self, kept: Mapping[int, int] | None = None) -> None:
        self.kept = dict(kept or {})
        self.gaps: dict[tuple[int, int], int] = {}

    async def load(self) -> Mapping[int, int]:
        return dict(self.kept)

    def save(self, positions: Mapping[int, int]) -> None:
        self.kept.update(positions)

    def note_gap(self, partition: int, after: int, events: int) -> None:
        self.gaps[partition, after] = events


class Reader:
    """One subscription and its assignment."""

    def __init__(
        self,
        topic: "SourceTopic",
        *,
        pace: Pace = QUICK,
        places: KeptPlaces | None = None,
        bootstrap: tuple[str, ...] = (),
    ) -> None:
        self.assignment = Recorder()
        self.subscription = KafkaSubscription(
            Cluster(bootstrap=bootstrap or tuple(topic.bootstrap.split(","))),
            Membership(router="r", group=topic.group, topics={topic.source: topic.name}),
            now_us=FakeClock(),
            places=places,
            pace=pace,
        )
        self.subscription.listen(self.assignment)

    async def owns(self, count: int) -> None:
        """Read on until this many partitions are ours; nothing must come meanwhile."""
        async with asyncio.timeout(DEADLINE):
            while len(self.subscription.committed()) != count:
                assert not await self.subscription.fetch(max_events=1, max_bytes=1)


class SourceTopic:
    """The topic of one source, and a group that reads it."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int, source: str = "acme") -> None:
        self.bootstrap = bootstrap
        self.source = source
        self.name = f"{prefix}.events.{source}"
        self.group = f"{prefix}.r"
        self.partitions = [partition_number(source, number) for number in range(partitions)]

    async def put(self, *numbers: int, partition: int = 0) -> None:
        """Append these events to one partition, in order."""
        await self.put_events([make_event(number) for number in numbers], partition=partition)

    async def put_events(self, events: Iterable[Event], *, partition: int = 0) -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")  # type: ignore[no-untyped-call]
        await producer.start()
        try:
            for event in events:
                key, value, headers = to_record(event)
                await producer.send(self.name, value, key=key, headers=headers, partition=partition)
            await producer.flush()
        finally:
            await producer.stop()

    async def put_raw(self, value: bytes | None, *, headers: list[tuple[str, bytes]], partition: int = 0) -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")  # type: ignore[no-untyped-call]
        await producer.start()
        try:
            await producer.send_and_wait(self.name, value, key=b"k", headers=headers, partition=partition)
        finally:
            await producer.stop()

    async def delete_before(self, offset: int, partition: int = 0) -> None:
        """Do what retention does."""
        deletion: Any = RecordsToDelete
        async with admin(self.bootstrap) as client:
            await client.delete_records({TopicPartition(self.name, partition): deletion(offset)})

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Write Kafka's own offsets for the group, while it has no members."""
        async with self._outsider() as consumer:
            await consumer.commit({TopicPartition(self.name, number): offset for number, offset in offsets.items()})

    async def committed(self) -> dict[int, int | None]:
        """Return the group's own offsets: the next to read, by Kafka's own partition number."""
        async with self._outsider() as consumer:
            numbers = range(len(self.partitions))
            return {number: await consumer.committed(TopicPartition(self.name, number)) for number in numbers}

    async def until_committed(self, offsets: Mapping[int, int]) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await self.committed()
                if {number: one for number, one in found.items() if one is not None} == dict(offsets):
                    return
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _outsider(self) -> AsyncIterator[Any]:
        consumer: Any = AIOKafkaConsumer(  # type: ignore[no-untyped-call]
            bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([TopicPartition(self.name, number) for number in range(len(self.partitions))])
        try:
            yield consumer
        finally:
            await consumer.stop()


@asynccontextmanager
async def source_topic(bootstrap: str, prefix: str, *, partitions: int = 1) -> AsyncIterator["Readers"]:
    """Make the topic, and close every reader of it at the end."""
    topic = SourceTopic(bootstrap, prefix, partitions)
    await create_topics(bootstrap, topic.name, partitions=partitions)
    async with AsyncExitStack() as ends:
        yield Readers(topic, ends)


class Readers:
    """Makes readers of one topic."""

    def __init__(self, topic: SourceTopic, ends: AsyncExitStack) -> None:
        self.topic = topic
        self._ends = ends

    def open(self, **options: Any) -> Reader:
        reader = Reader(self.topic, **options)
        self._ends.push_async_callback(reader.subscription.close)
        return reader


async def collect(subscription: Subscription, count: int, *, max_events: int = 100) -> list[Stored]:
    """Fetch until that many records came; more is an error of the test's."""
    found: list[Stored] = []
    async with asyncio.timeout(DEADLINE):
        while len(found) < count:
            found += await subscription.fetch(max_events=min(max_events, count - len(found)), max_bytes=2**20)
    return found


def ids(found: Iterable[Stored]) -> list[str]:
    return [stored.event.id if stored.event else f"!{stored.error}" for stored in found]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def seldom_commits() -> Pace:
    """A pace at which positions are written only when a partition goes, and at the end."""
    return replace(QUICK, commit_every=600.0)


async def evict_all(topic: SourceTopic) -> None:
    """Put every member out of the topic's group, as the group does with members it does not hear."""
    async with admin(topic.bootstrap) as client:
        (described,) = await client.describe_consumer_groups([topic.group])
        members = [member[0] for member in described.groups[0][5]]
        node = await client.find_coordinator(topic.group)
        for member in members:
            await client._client.send(node, LeaveGroupRequest(topic.group, member))


def consumer_starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list to which every start of an aiokafka consumer is added."""
    started: list[object] = []
    real: Any = AIOKafkaConsumer.start

    async def start(consumer: Any) -> None:
        started.append(consumer)
        await real(consumer)

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)
    return started


def paced(**over: float) -> Pace:
    return replace(QUICK, **over)  # type: ignore[arg-type]  # some are counts


def consumer_of(reader: Reader) -> Any:
    """Return the aiokafka consumer behind it."""
    assert reader.subscription._reading is not None
    assert reader.subscription._reading._member is not None
    return reader.subscription._reading._member._consumer._consumer


async def share(one: Reader, other: Reader) -> None:
    """Wait until each has a partition, without fetching."""
    for reader in (one, other):
        reader.subscription._start()
    await until(lambda: all(len(reader.subscription.committed()) == 1 for reader in (one, other)))
