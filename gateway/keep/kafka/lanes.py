"""Partition lanes: a bounded buffer in front of each partition, and one batch in flight behind it.

The batch in flight is the linger of the next: under load batches grow by themselves, an idle lane adds no wait. What is
enqueued belongs to the lanes until it has an outcome: written, certainly not written, or unknown.
"""

import asyncio
import logging
import time
import zlib
from asyncio import Task
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.core.errors import Unavailable
from gateway.keep.envelope import Record
from gateway.keep.kafka.breaker import Breaker
from gateway.keep.kafka.driver import Driver, NotWrittenError, UnknownOutcomeError

log = logging.getLogger("gateway.keep")


class Entry(Protocol):
    """A record on its way, and who is told what became of it. Exactly one of the two is called, once."""

    @property
    def record(self) -> Record:
        """What is to be written."""
        ...

    @property
    def size(self) -> int:
        """What it counts against the budget and in a batch, in bytes; never less than it takes in a batch."""
        ...

    def written(self, partition: int, offset: int) -> None:
        """It is durable there (Kafka's own partition number)."""
        ...

    def failed(self, error: Unavailable) -> None:
        """It is not, or nobody knows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """Bounds. Bytes and counts are over all lanes, and count from the append to the outcome; times in seconds.

    Attributes:
        max_queued_events: how many may wait.
        max_queued_bytes: how much they may take.
        batch_bytes: how much goes into one batch; a larger record goes alone.
        deadline: the longest deadline of a request; a batch in flight for twice as long opens its lane's breaker.
        failures: how many failed batches in a row open it.
        probe_every: how often a request is let through while it is open.
        in_order: a record that fails takes those of its key that wait behind it along, as certainly not written, so
            that whoever appends all of them again keeps their order.
    """

    max_queued_events: int = 20_000
    max_queued_bytes: int = 64 * 2**20
    batch_bytes: int = 262_144
    deadline: float = 2.5
    failures: int = 3
    probe_every: float = 0.5
    in_order: bool = False


class Lane:
    """One partition's way.

    Attributes:
        since: when its batch in flight was handed over, None if there is none.
        singly: how many of those that wait are to be written one at a time.
    """

    __slots__ = ("breaker", "in_flight", "partition", "pending", "since", "singly", "task", "topic")

    def __init__(self, topic: str, partition: int, breaker: Breaker) -> None:
        self.topic = topic
        self.partition = partition
        self.breaker = breaker
        self.pending: deque[Entry] = deque()
        self.in_flight: Sequence[Entry] = ()
        self.since: float | None = None
        self.singly = 0
        self.task: Task[None] | None = None

    def take(self, most: int) -> list[Entry]:
        """Return the next batch: as many as fit in `most` bytes, at least one."""
        pending = self.pending
        batch = [pending.popleft()]
        if self.singly:
            self.singly -= 1
            return batch
        left = most - batch[0].size
        while pending and pending[0].size <= left:
            left -= pending[0].size
            batch.append(pending.popleft())
        return batch

    def take_back(self, batch: Sequence[Entry]) -> None:
        """Put a batch back, to be written one at a time."""
        self.pending.extendleft(reversed(batch))
        self.singly = len(batch)

    def take_behind(self, failed: Sequence[Entry]) -> list[Entry]:
        """Return those that wait and have the key of one that failed, and forget them."""
        keys = {entry.record.key for entry in failed}
        taken = [entry for entry in self.pending if entry.record.key in keys]
        if taken:
            self.pending = deque(entry for entry in self.pending if entry.record.key not in keys)
        return taken

    def clear(self) -> "deque[Entry]":
        """Return what waits, and forget it."""
        waiting, self.pending, self.singly = self.pending, deque(), 0
        return waiting


class Lanes:
    """The lanes of all topics. Used on the event loop's thread, by the log (`place`, `enqueue`) and the keeper.

    Attributes:
        on_failure: called after each failed batch; the keeper's.
        queued_events: how many entries have no outcome yet.
        queued_bytes: how much they take.
        unacknowledged_since: when a batch was handed over that was the first with none acknowledged since, or None.
    """

    def __init__(
        self,
        options: LaneOptions,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._now = now
        self._topics: dict[str, list[Lane]] = {}
        self._driver: Driver | None = None
        self._taking = False
        self._last_written = 0.0
        self._emptied: asyncio.Event | None = None
        self.on_failure: Callable[[], None] = _nothing
        self.queued_events = self.queued_bytes = 0
        self.unacknowledged_since: float | None = None

    # What the log asks.

    def place(self, topic: str, key: bytes) -> Lane:
        """Return the lane of a record with that key.

        Raises:
            Unavailable: the cluster was not reached yet, or has no such topic.
        """
        lanes = self._topics.get(topic)
        if lanes is None:
            raise Unavailable("log_down")
        return lanes[zlib.crc32(key) % len(lanes)]

    def number(self, topic: str, key: bytes) -> int | None:
        """Return the partition of a record with that key, None while the topic is unknown."""
        lanes = self._topics.get(topic)
        return None if lanes is None else zlib.crc32(key) % len(lanes)

    def enqueue(self, placed: Sequence[tuple[Lane, Entry]]) -> None:
        """Take all entries, or none.

        Raises:
            Unavailable: none was taken: over the budget, or a breaker is open.
        """
        if not self._taking:
            raise Unavailable("log_down")
        size, options = 0, self._options
        for _, entry in placed:
            size += entry.size
        if (
            self.queued_events + len(placed) > options.max_queued_events
            or self.queued_bytes + size > options.max_queued_bytes
        ):
            raise Unavailable("overloaded")
        now = self._now()
        for lane in {lane for lane, _ in placed} if len(placed) > 1 else (placed[0][0],):
            if not self._admits(lane, now):
                raise Unavailable("log_down")
        self.queued_events += len(placed)
        self.queued_bytes += size
        for lane, entry in placed:
            lane.pending.append(entry)
            if lane.task is None and self._driver is not None:
                self._begin(lane, self._driver)

    def _admits(self, lane: Lane, now: float) -> bool:
        was_open = lane.breaker.opened_at is not None
        admitted = lane.breaker.admits(now, lane.since)
        if lane.breaker.opened_at is not None and not was_open:
            self._opened(lane)
        return admitted

    def state(self) -> Literal["up", "degraded", "down"]:
        """Return how the partitions fare: `degraded` if some take nothing while others do."""
        if not self._taking or not self._topics:
            return "down"
        opened = [lane.breaker.opened_at for lanes in self._topics.values() for lane in lanes]
        since = min((at for at in opened if at is not None), default=None)
        if since is None:
            return "up"
        return "degraded" if self._last_written > since else "down"

    def refusing(self) -> frozenset[str]:
        """Return the topics that have a partition which takes nothing."""
        opened = ((lane.breaker.opened_at, topic) for topic, lanes in self._topics.items() for lane in lanes)
        return frozenset(topic for since, topic in opened if since is not None)

    # What the keeper does.

    def attach(self, driver: Driver, partitions: Mapping[str, int]) -> None:
        """Write through `driver` from now on. The number of a topic's partitions is that of its first sight.

        A key's records must stay in one partition, so that a topic which grows is taken notice of at the next start.
        """
        for topic, count in partitions.items():
            self._topics.setdefault(topic, [Lane(topic, number, self._breaker()) for number in range(count)])
        self._taking = True
        if driver is self._driver:
            return
        self._driver = driver
        for lane in self._all():
            lane.breaker = self._breaker()
            if lane.pending:
                self._begin(lane, driver)

    def detach(self) -> None:
        """Give up the driver: what is in flight ends as unknown, what waits goes on waiting for the next one."""
        self._driver = None
        self.unacknowledged_since = None
        for lane in self._all():
            if lane.task is not None:
                lane.task.cancel()
                lane.task = None
            self._settle(lane, None)

    def shut(self) -> None:
        """Take nothing more until a driver is attached; what waits ends as certainly not written."""
        self._taking = False
        for lane in self._all():
            self._refuse_waiting(lane)

    def tick(self) -> None:
        """Open the breakers of lanes that are stuck; called every second or so."""
        now = self._now()
        for lane in self._all():
            was_open = lane.breaker.opened_at is not None
            if not was_open and lane.breaker.look(now, lane.since):
                self._opened(lane)

    async def empty(self, within: float) -> bool:
        """Wait until nothing is queued; return whether that came true."""
        self._emptied = asyncio.Event()
        if not self.queued_events:
            return True
        try:
            async with asyncio.timeout(within):
                await self._emptied.wait()
        except TimeoutError:
            return False
        return True

    # One lane's work.

    def _begin(self, lane: Lane, driver: Driver) -> None:
        lane.task = asyncio.get_running_loop().create_task(self._flush(lane, driver))

    async def _flush(self, lane: Lane, driver: Driver) -> None:
        """Write what waits, batch after batch. `detach` cancels it, and then owns the lane."""
        me = lane.task
        try:
            while lane.pending and driver.failed is None:  # the next driver takes the rest
                await self._write(lane, driver, lane.take(self._options.batch_bytes))
        except asyncio.CancelledError:
            if lane.task is me:  # not by `detach`: the client gave up its own future
                self._failed(lane, lane.in_flight, None, "cancelled")
            raise
        finally:
            if lane.task is me:
                lane.task = None
                if lane.pending and driver is self._driver and driver.failed is None:
                    self._begin(lane, driver)  # what waits must not wait for the next append

    async def _write(self, lane: Lane, driver: Driver, batch: Sequence[Entry]) -> None:
        lane.in_flight, lane.since = batch, self._now()
        if self.unacknowledged_since is None:
            self.unacknowledged_since = lane.since
        try:
            offset = await driver.produce(lane.topic, lane.partition, [entry.record for entry in batch])
        except NotWrittenError as error:
            self._not_written(lane, batch, error)
        except UnknownOutcomeError as error:
            self._failed(lane, batch, None, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an outcome
            self._failed(lane, batch, None, type(error).__name__)
        else:
            self._written(lane, batch, offset)

    def _written(self, lane: Lane, batch: Sequence[Entry], offset: int) -> None:
        lane.in_flight, lane.since = (), None
        if lane.breaker.opened_at is not None:
            log.info("kafka.breaker_closed", extra=_place(lane))
        lane.breaker.succeeded()
        self.unacknowledged_since = None
        self._last_written = self._now()
        for entry in batch:
            self._release(entry)
            entry.written(lane.partition, offset)
            offset += 1

    def _not_written(self, lane: Lane, batch: Sequence[Entry], error: NotWrittenError) -> None:
        self.unacknowledged_since = None  # the broker answers
        if not error.too_large:
            self._failed(lane, batch, False, str(error))  # noqa: FBT003 - `written` is one of False and None
        elif len(batch) > 1:  # one that is too large is to fail alone
            lane.in_flight, lane.since = (), None
            lane.take_back(batch)
        else:
            log.error("kafka.record_refused", extra=_place(lane) | {"record_bytes": batch[0].size})
            self._settle(lane, False)  # noqa: FBT003

    def _failed(self, lane: Lane, batch: Sequence[Entry], written: Literal[False] | None, why: str) -> None:
        was_open = lane.breaker.opened_at is not None
        if not was_open:
            log.warning("kafka.batch_failed", extra=_place(lane) | {"events": len(batch), "error": why})
        lane.breaker.failed(self._now())
        self._settle(lane, written)
        if lane.breaker.opened_at is not None and not was_open:
            self._opened(lane)
        self.on_failure()

    def _opened(self, lane: Lane) -> None:
        log.error("kafka.breaker_opened", extra=_place(lane))
        self._refuse_waiting(lane)

    def _refuse_waiting(self, lane: Lane) -> None:
        for entry in lane.clear():
            self._release(entry)
            entry.failed(Unavailable("log_down", written=False))

    def _settle(self, lane: Lane, written: Literal[False] | None) -> None:
        """Fail what is in flight."""
        batch, lane.in_flight, lane.since = lane.in_flight, (), None
        behind = lane.take_behind(batch) if self._options.in_order else ()
        for entry in batch:
            self._release(entry)
            entry.failed(Unavailable("log_down", written=written))
        for entry in behind:
            self._release(entry)
            entry.failed(Unavailable("log_down", written=False))

    def _release(self, entry: Entry) -> None:
        self.queued_events -= 1
        self.queued_bytes -= entry.size
        if not self.queued_events and self._emptied is not None:
            self._emptied.set()

    def _all(self) -> Sequence[Lane]:
        return [lane for lanes in self._topics.values() for lane in lanes]

    def _breaker(self) -> Breaker:
        options = self._options
        return Breaker(failures=options.failures, stuck_after=2 * options.deadline, probe_every=options.probe_every)


def _nothing() -> None:
    """Do nothing."""


def _place(lane: Lane) -> dict[str, object]:
    return {"topic": lane.topic, "partition": lane.partition}
