"""What edges tell each other of durable ids: the topic `{prefix}.seen`, written after the ack, read by every edge.

The feed spares copies in the log; the marks are the guarantee. So it is best effort: what cannot be published is
counted and forgotten, and neither an absent cluster nor a missing topic is an error to the edge. But nothing is
published that is not durable, and nothing else is ever learned (docs/decisions/0006-dedupe-feed.md).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import CorruptRecordException

from gateway.keep.envelope import Record
from gateway.keep.kafka.digests import EDGE_BYTES, each, pack, unpack
from gateway.keep.kafka.driver import Driver, UnreachableError
from gateway.keep.kafka.seen import DIGEST_BYTES, ENTRY_BYTES, Seen
from gateway.keep.kafka.tail import SilentError, Tail

log = logging.getLogger("gateway.keep")

LINGER_SECONDS = 0.05
MOST_ENTRIES = 10_000  # of one record: below the 256 KiB of a batch
MOST_PENDING = 100_000
_OPEN_SECONDS = 15.0
_PRODUCE_SECONDS = 15.0
_FRESH_SECONDS = 2.0
_FLUSH_SECONDS = 3.0
_CLOSE_SECONDS = 10.0
_SLICE_ENTRIES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTimes:
    """In seconds.

    Attributes:
        warm_within: how long the warm start may take; what is then unread is passed over.
        silent: how long a broker may say nothing before the clients are replaced.
        backoff: between two tries.
    """

    warm_within: float = 30.0
    silent: float = 15.0
    backoff: float = 2.0


class MissingTopicError(Exception):
    """The topic does not exist; `gateway topics create` makes it."""


class SeenFeed:
    """Publishes this edge's durable ids and learns those of the others. One event loop's thread.

    Args:
        seen: the table that is fed.
        arguments: how to connect, from `client_arguments`.
        make_driver: makes a client to publish with; each lives once.
        topic: `topics.seen_topic(prefix)`.
        warm: how far back a starting edge reads, in seconds.
        times: how long to wait for what.

    Attributes:
        published: entries that others can read.
        failed: entries that nobody will hear of: not published, or past the bound of those that wait.
        unreadable: records that were passed over: garbage, or of another version.
        warming: whether what came before the start is still being read.
    """

    def __init__(
        self,
        seen: Seen,
        arguments: Mapping[str, Any],
        make_driver: Callable[[], Driver],
        *,
        topic: str,
        warm: float,
        times: FeedTimes | None = None,
    ) -> None:
        self._seen = seen
        self._arguments, self._make_driver = arguments, make_driver
        self._topic, self._warm, self._times = topic, warm, times or FeedTimes()
        self._edge = secrets.token_bytes(EDGE_BYTES)
        self._pending = bytearray()
        self._something, self._closing = asyncio.Event(), asyncio.Event()
        self._places: dict[int, int] = {}
        self._up_to_date_at = time.monotonic()
        self._task: asyncio.Task[Any] | None = None
        self._complained = False
        self.published = self.failed = self.unreadable = 0
        self.warming = True

    def note(self, identity: bytes, digest: bytes) -> None:
        """Remember an id whose event is durable now, and tell the others soon. Never before the ack."""
        if not self._seen.remember(identity, digest):
            return
        if len(self._pending) >= MOST_PENDING * ENTRY_BYTES:
            self.failed += 1
            return
        self._pending += identity + digest[:DIGEST_BYTES]
        self._something.set()

    @property
    def lag_seconds(self) -> float:
        """0 while all that others published is known here; else for how long that has not been so."""
        lag = time.monotonic() - self._up_to_date_at
        return lag if lag > _FRESH_SECONDS else 0.0

    async def run(self) -> None:
        """Publish and learn until `close`, through every failure of the cluster. Run it as a task of its own."""
        self._task = asyncio.current_task()
        while not self._closing.is_set():
            try:
                await self._session()
            except CorruptRecordException as error:
                self._complain(error)
                self._places, self._warm = {}, 0.0  # it cannot be read past; begin behind it
            except Exception as error:  # noqa: BLE001 - whatever fails here is no error to the edge
                self._complain(error)
            if not self._closing.is_set():
                await _within(self._times.backoff, self._closing.wait())

    async def close(self) -> None:
        """Publish what is left and end `run`, all within seconds. A second call does nothing."""
        self._closing.set()
        self._something.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_FLUSH_SECONDS)
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=_CLOSE_SECONDS)

    async def _session(self) -> None:
        """Publish and learn until one of the two fails, or until `close`."""
        driver = self._make_driver()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                partitions = await self._connect(driver)
            tail = Tail(self._arguments, self._topic, partitions)
            try:
                await tail.open(self._places, round((time.time() - self._warm) * 1000))
                await _first(self._publish(driver, partitions), self._learn(tail))
            finally:
                await tail.close()
        finally:
            await driver.stop()

    async def _connect(self, driver: Driver) -> int:
        await driver.start()
        partitions = (await driver.find([self._topic])).get(self._topic, 0)
        if not partitions:
            raise MissingTopicError
        return partitions

    # Publishing

    async def _publish(self, driver: Driver, partitions: int) -> None:
        while True:
            await self._something.wait()
            if not self._closing.is_set():
                await _within(LINGER_SECONDS, self._closing.wait())
            while self._pending:
                await self._publish_some(driver, partitions)
            if self._closing.is_set():
                return
            self._something.clear()

    async def _publish_some(self, driver: Driver, partitions: int) -> None:
        size = MOST_ENTRIES * ENTRY_BYTES
        entries = bytes(self._pending[:size])
        del self._pending[:size]
        count = len(entries) // ENTRY_BYTES
        record = Record(b"", pack(self._edge, entries), [])
        partition = self._edge[0] % partitions  # any will do, as all are read by all
        try:
            async with asyncio.timeout(_PRODUCE_SECONDS):
                await driver.produce(self._topic, partition, [record])
        except BaseException:
            self.failed += count
            raise
        self.published += count

    # Learning

    async def _learn(self, tail: Tail) -> None:
        now = time.monotonic
        warm_until = now() + self._times.warm_within
        while True:
            if tail.caught_up:
                self._arrived(tail)
            elif self.warming and now() > warm_until:
                log.warning("dedupe.warm_cut_short", extra={"ids": len(self._seen)})
                await tail.skip_to_end()
                self.warming = False
            for value in await tail.read():
                await self._take(value)
            self._places = await tail.places()
            if now() - tail.heard_at > self._times.silent:
                raise SilentError

    def _arrived(self, tail: Tail) -> None:
        self._up_to_date_at = max(self._up_to_date_at, tail.heard_at)
        if self.warming or self._complained:
            log.info("dedupe.feed_up", extra={"ids": len(self._seen)})
        self.warming = self._complained = False

    async def _take(self, value: bytes | None) -> None:
        """Learn one record's entries, a slice at a time: deliveries are served in between."""
        found = unpack(value)
        if found is None:
            self.unreadable += 1
            return
        edge, entries = found
        if edge == self._edge:
            return
        remember = self._seen.remember
        for start in range(0, len(entries), _SLICE_ENTRIES * ENTRY_BYTES):
            for identity, digest in each(entries[start : start + _SLICE_ENTRIES * ENTRY_BYTES]):
                remember(identity, digest)
            await asyncio.sleep(0)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            why = str(error) or type(error).__name__ if isinstance(error, UnreachableError) else type(error).__name__
            log.warning("dedupe.feed_down", extra={"topic": self._topic, "error": why})
        self._complained = True


async def _first(*calls: Coroutine[Any, Any, None]) -> None:
    """Run all until the first one ends; end the others; raise what it raised."""
    left = {asyncio.create_task(call) for call in calls}
    try:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        while left:  # more than once: a client may take a cancellation for its own
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1.0)
    for task in done:
        task.result()


async def _within(seconds: float, wait: Coroutine[Any, Any, object]) -> None:
    """Wait, but no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait
