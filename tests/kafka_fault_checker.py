"""What must hold after faults on Kafka, whatever they were: read from the log, from the database and from the group.

`settled` waits until every event in the log has been finished, then reads all there is; `assert_sound` states the
invariants of it. `commits` samples a group's committed offsets while faults happen.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gateway.keep.places import kafka_partition, source_of
from tests.kafka_fault_rig import ROUTER, SOURCE, Deployment, Ledger
from tests.kafka_rig import admin

SETTLE_SECONDS = 90.0
_SAMPLE_EVERY = 0.2
_FAILURES = (KafkaError, OSError, TimeoutError, psycopg.Error)


class Logged(NamedTuple):
    """One record of a source's topic; `at_ms` is when its leader appended it, by the wall clock."""

    id: str
    key: str
    partition: int
    offset: int
    at_ms: int


class Effect(NamedTuple):
    """One row that a handler wrote through `ctx.tx`; `number` tells their order within a key."""

    number: int
    id: str
    key: str
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """All there is when nothing moves any more: the log of a source, and what a router made of it.

    `committed` is what the group has committed in the end, `commits` every commit of it, (partition, offset), in order.
    """

    log: Sequence[Logged]
    effects: Sequence[Effect]
    dead: set[str]
    committed: Mapping[int, int]
    commits: Sequence[tuple[int, int]]

    @property
    def ids(self) -> set[str]:
        """The ids in the log."""
        return {logged.id for logged in self.log}

    @property
    def copies(self) -> Counter[str]:
        """How often each id is in the log."""
        return Counter(logged.id for logged in self.log)

    def backward(self) -> list[tuple[int, int, int]]:
        """Return (partition, before, after) of each commit that went back."""
        found, farthest = [], dict[int, int]()
        for partition, offset in self.commits:
            if offset < farthest.get(partition, 0):
                found.append((partition, farthest[partition], offset))
            farthest[partition] = max(offset, farthest.get(partition, 0))
        return found


# Reading


def read_log(deployment: Deployment, source: str = SOURCE) -> list[Logged]:
    """Return the records of a source's topic up to its present end, partition by partition."""
    return asyncio.run(_read_log(deployment, source))


async def _read_log(deployment: Deployment, source: str) -> list[Logged]:
    return [_logged(record) for record in await _records(deployment, _parts(deployment, source))]


async def _records(deployment: Deployment, parts: Sequence[TopicPartition]) -> list[Any]:
    """Return all records up to the present end, partition by partition."""
    async with _consumer(deployment, parts) as consumer:
        ends = await consumer.end_offsets(parts)
        found: dict[TopicPartition, list[Any]] = {part: [] for part in parts}
        async with asyncio.timeout(SETTLE_SECONDS):
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for part, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[part] += records
    return [record for part in parts for record in found[part]]


def _logged(record: Any) -> Logged:
    headers = dict(record.headers)
    key = headers.get("ce_partitionkey", b"").decode()
    return Logged(headers["ce_id"].decode(), key, record.partition, record.offset, record.timestamp)


def read_commits(deployment: Deployment, router: str = ROUTER, source: str = SOURCE) -> list[tuple[int, int]]:
    """Return every commit of a router's group for a source, from the topic in which the brokers keep them.

    What a coordinator answers is less sure: one that has just taken over tells for a while what it knows to be
    replicated, and all that is written only then.
    """
    offsets = [TopicPartition("__consumer_offsets", 0)]  # the brokers of the tests have one partition of it
    wanted = (deployment.group(router).encode(), deployment.topic(source).encode())
    found = []
    for record in asyncio.run(_records(deployment, offsets)):
        group, topic, partition = _commit_key(record.key)
        if (group, topic) == wanted and record.value:
            found.append((partition, struct.unpack_from("!hq", record.value)[1]))
    return found


def _commit_key(key: bytes) -> tuple[bytes, bytes, int]:
    """Return group, topic and partition of a commit's key; no topic if it is the key of something else."""
    version, length = struct.unpack_from("!hh", key)
    group, rest = key[4 : 4 + length], key[4 + length :]
    if version not in (0, 1):
        return group, b"", -1
    (length,) = struct.unpack_from("!h", rest)
    return group, rest[2 : 2 + length], struct.unpack_from("!i", rest, 2 + length)[0]


def read_effects(deployment: Deployment, source: str = SOURCE) -> list[Effect]:
    """Return the effects of a source's events in the order they were written; none before there is a table."""
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(deployment.dsn) as connection:
        rows = connection.execute(
            "select number, id, key, attempt from effect where source = %s order by number", (source,)
        )
        return [Effect(*row) for row in rows]
    return []


class Aside(NamedTuple):
    """The ids of a router's dead letters, and where its parked pairs are: finished, without an effect."""

    dead: set[str]
    parked: set[tuple[int, int]]


def read_aside(deployment: Deployment, router: str = ROUTER, source: str = SOURCE) -> Aside:
    """Return what is put aside of a source's events."""
    with psycopg.connect(deployment.dsn) as connection:
        dead = connection.execute(
            "select event_id from gateway.dead where router = %s and source = %s", (router, source)
        ).fetchall()
        parked = connection.execute(
            'select partition, "offset" from gateway.parked where router = %s', (router,)
        ).fetchall()
    places = {(kafka_partition(number), offset) for number, offset in parked if source_of(number, [source])}
    return Aside({event_id for (event_id,) in dead}, places)


def settled(
    deployment: Deployment, *, router: str = ROUTER, source: str = SOURCE, deadline: float = SETTLE_SECONDS
) -> Outcome:
    """Wait until the router's group has committed the end of the log and nothing is parked; return what is there."""
    committed = asyncio.run(_all_committed(deployment, router, source, deadline))
    log, effects = read_log(deployment, source), read_effects(deployment, source)
    dead, made = read_aside(deployment, router, source).dead, read_commits(deployment, router, source)
    return Outcome(log, effects, dead, committed, made)


async def _all_committed(deployment: Deployment, router: str, source: str, deadline: float) -> Mapping[int, int]:
    parts = _parts(deployment, source)
    committed: Mapping[int, int] = {}
    ends: Mapping[int, int] = {}
    parked: set[tuple[int, int]] = set()
    try:
        async with (
            asyncio.timeout(deadline),
            _consumer(deployment, parts) as consumer,
            admin(deployment.kafka.bootstrap) as client,
        ):
            while True:
                ends = {part.partition: end for part, end in (await consumer.end_offsets(parts)).items()}
                committed = await _committed(client, deployment.group(router), parts)
                parked = (await asyncio.to_thread(read_aside, deployment, router, source)).parked
                if not parked and all(committed.get(number, 0) == end for number, end in ends.items()):
                    return committed
                await asyncio.sleep(0.05)
    except TimeoutError:
        message = f"not all finished within {deadline} s: committed {committed} of {ends}, parked {len(parked)}"
        raise AssertionError(message) from None


async def _committed(client: Any, group: str, parts: Sequence[TopicPartition]) -> dict[int, int]:
    found = await client.list_consumer_group_offsets(group, partitions=list(parts))
    return {part.partition: place.offset for part, place in found.items() if place.offset >= 0}


def _parts(deployment: Deployment, source: str) -> list[TopicPartition]:
    return [TopicPartition(deployment.topic(source), number) for number in range(deployment.partitions)]


@asynccontextmanager
async def _consumer(deployment: Deployment, parts: Sequence[TopicPartition]) -> AsyncIterator[Any]:
    kind: Any = AIOKafkaConsumer
    consumer = kind(
        bootstrap_servers=deployment.kafka.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
        max_poll_records=None,
    )
    consumer.assign(parts)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


# The group while it works


@dataclass
class Commits:
    """What a group had committed, sample by sample, and in which sample an event was first seen to be finished.

    A sample reads the offsets first, what is finished after them.
    """

    samples: list[Mapping[int, int]] = field(default_factory=list)
    first_seen: dict[str | tuple[int, int], int] = field(default_factory=dict)

    def note(self, committed: Mapping[int, int], finished: Iterable[str | tuple[int, int]]) -> None:
        """Add a sample; `finished` has ids, or the places of what is parked."""
        number = len(self.samples)
        self.samples.append(committed)
        for found in finished:
            self.first_seen.setdefault(found, number)

    def beyond_gaps(self, log: Iterable[Logged]) -> list[tuple[Logged, int]]:
        """Return the events that a committed offset had passed before they were finished, with that offset."""
        return [(logged, place) for logged in log if (place := self._farthest_before(logged)) > logged.offset]

    def _farthest_before(self, logged: Logged) -> int:
        never = len(self.samples)
        places: tuple[str | tuple[int, int], ...] = (logged.id, (logged.partition, logged.offset))
        seen = min(self.first_seen.get(place, never) for place in places)
        return max((sample.get(logged.partition, 0) for sample in self.samples[:seen]), default=0)


@contextmanager
def commits(deployment: Deployment, *, router: str = ROUTER, source: str = SOURCE) -> Iterator[Commits]:
    """Sample the group while the block runs; while the cluster cannot be asked there are no samples."""
    found, stop = Commits(), threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_sample(deployment, router, source, found, stop)), name="commits"
    )
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


async def _sample(deployment: Deployment, router: str, source: str, found: Commits, stop: threading.Event) -> None:
    parts = _parts(deployment, source)
    while not stop.is_set():
        kind: Any = AIOKafkaAdminClient
        client = kind(bootstrap_servers=deployment.kafka.bootstrap, request_timeout_ms=2000)
        with suppress(*_FAILURES):
            await client.start()
            while not stop.is_set():
                committed = await _committed(client, deployment.group(router), parts)
                found.note(committed, await asyncio.to_thread(_finished, deployment, router, source))
                await asyncio.sleep(_SAMPLE_EVERY)
        with suppress(*_FAILURES):
            await client.close()
        await asyncio.sleep(_SAMPLE_EVERY)


def _finished(deployment: Deployment, router: str, source: str) -> set[str | tuple[int, int]]:
    aside = read_aside(deployment, router, source)
    return {effect.id for effect in read_effects(deployment, source)} | aside.dead | aside.parked


# What must hold


def assert_sound(
    outcome: Outcome,
    ledger: Ledger,
    watched: Commits | None = None,
    *,
    spooled: bool = False,
) -> None:
    """State the invariants of `durability.md`, section 6, for one source and one router.

    Args:
        outcome: what is there now.
        ledger: what the senders were told.
        watched: what the group had committed meanwhile.
        spooled: some were acknowledged by the spool, before they came into the log.
    """
    lost = ledger.acknowledged - outcome.ids
    assert not lost, f"acknowledged, and not in the log (I1): {sorted(lost)[:5]}, {len(lost)} in all"
    times = Counter(effect.id for effect in outcome.effects)
    twice = [event_id for event_id, count in times.items() if count > 1]
    assert not twice, f"more than one effect (I3): {twice[:5]}, {len(twice)} in all"
    assert times.keys() <= outcome.ids, "an effect of what is not in the log"
    missing = outcome.ids - times.keys() - outcome.dead
    assert not missing, f"in the log, and dropped (I2, I9): {sorted(missing)[:5]}, {len(missing)} in all"
    if not spooled:
        early = acknowledged_early(outcome.log, ledger)
        assert not early, f"acknowledged before the first copy was durable (I4): {early[:5]}"
    assert dict(outcome.commits) == outcome.committed, "not every commit was read"
    assert not outcome.backward(), f"a commit went back (I5): {outcome.backward()[:5]}"
    if watched is not None:
        beyond = watched.beyond_gaps(outcome.log)
        assert not beyond, f"committed beyond what is finished (I5): {beyond[:5]}"


def acknowledged_early(log: Sequence[Logged], ledger: Ledger) -> list[str]:
    """Return the ids whose first 2xx came before a leader appended the first copy; both clocks are this machine's."""
    first: dict[str, int] = {}
    for logged in log:
        first[logged.id] = min(first.get(logged.id, logged.at_ms), logged.at_ms)
    answered: dict[str, float] = {}
    for sent in ledger.sent:
        if sent.answer.acknowledged:
            answered.setdefault(sent.id, sent.ended_ms)
    return [event_id for event_id, at_ms in answered.items() if first.get(event_id, 0) > at_ms + 1]


def out_of_order(effects: Sequence[Effect], order: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the keys whose effects came about in another order than `order` has them, with the order they have."""
    found: dict[str, list[str]] = {}
    for effect in effects:
        found.setdefault(effect.key, []).append(effect.id)
    wrong = {}
    for key, ids in order.items():
        present = [event_id for event_id in found.get(key, []) if event_id in set(ids)]
        if present != [event_id for event_id in ids if event_id in set(present)]:
            wrong[key] = present
    return wrong
