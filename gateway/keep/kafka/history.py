"""Reading stored events again, for replays: beside the subscription, without a group, in a thread of its own.

A scan remembers how far it has read, past what its caller was given, so that successive reads do not seek. Whatever
goes wrong ends the scan, and the next one begins where the caller stands. A cluster that is away is waited for.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.core.event import Event
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.records import Read, read_record
from gateway.keep.places import kafka_partition, source_of
from gateway.keep.ports import Filter, Stored

_log = logging.getLogger("gateway.keep")

_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 5.0
_POLL_MS = 200
_SILENT_SECONDS = 30.0
_AGAIN_SECONDS = 1.0
_SAY_EVERY = 60.0
# Records carry the time at which a broker appended them, events that at which an edge received them: never later, but
# for clocks that differ. An edge whose clock is further off than this refuses what providers sign with a time.
_CLOCKS_DIFFER_MS = 10 * 60 * 1000


def fits(where: Filter, event: Event) -> bool:
    """Return whether the event is one of those that the filter asks for."""
    return (
        (where.source is None or event.source == where.source)
        and (where.type is None or event.type == where.type)
        and (where.id is None or event.id == where.id)
        and (where.key is None or event.key == where.key)
        and (where.since_us is None or event.received_us >= where.since_us)
        and (where.until_us is None or event.received_us < where.until_us)
    )


class KafkaHistory:
    """The history of the Kafka log; `topics` has the topic of each source. Its thread begins with the first read."""

    def __init__(self, cluster: Cluster, topics: Mapping[str, str]) -> None:
        client_arguments(cluster)  # what cannot be used is said before anything runs
        self._cluster = cluster
        self._topics = dict(topics)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._turn = asyncio.Lock()
        self._scan: _Scan | None = None
        self._said_at = 0.0

    async def read(
        self, where: Filter, *, after: Mapping[int, int], upto: Mapping[int, int], max_events: int, max_bytes: int
    ) -> Sequence[Stored]:
        """Return the next fitting records after `after` and up to `upto` (inclusive); empty at the end.

        Waits for a cluster that does not answer. What retention took is passed over.
        """
        call = self._read_in_turn(where, dict(after), dict(upto), max_events, max_bytes)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._started()))

    async def close(self) -> None:
        """Let go of the connections and the thread, in bounded time. A second call does nothing."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        closing = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._end_scan(), loop))
        await asyncio.wait({closing}, timeout=2 * _CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, _CLOSE_SECONDS)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="kafka-history", daemon=True)
            self._thread.start()
        return self._loop

    # In the history's thread

    async def _read_in_turn(
        self, where: Filter, after: dict[int, int], upto: dict[int, int], max_events: int, max_bytes: int
    ) -> list[Stored]:
        async with self._turn:  # a cancelled read may still be closing its scan
            return await self._read(where, after, upto, max_events, max_bytes)

    async def _read(
        self, where: Filter, after: dict[int, int], upto: dict[int, int], max_events: int, max_bytes: int
    ) -> list[Stored]:
        while True:
            try:
                scan = self._scan
                if scan is None or not scan.goes_on(where, after, upto):
                    scan = await self._begin(where, after, upto)
                return await scan.read(max_events, max_bytes)
            except (KafkaError, OSError, TimeoutError) as error:
                self._say("history.cluster_unreachable", error)
                await self._end_scan()
            except asyncio.CancelledError:  # where it stood is unknown
                await self._end_scan()
                raise
            except Exception as error:  # noqa: BLE001 - a record of another's making can break its decoding
                self._say("history.unreadable", error)
                await self._end_scan()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _begin(self, where: Filter, after: dict[int, int], upto: dict[int, int]) -> "_Scan":
        await self._end_scan()
        scan = self._scan = _Scan(client_arguments(self._cluster), self._topics, where, after, upto)
        await scan.open()
        return scan

    async def _end_scan(self) -> None:
        scan, self._scan = self._scan, None
        if scan is not None:
            await scan.close()

    def _say(self, what: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._said_at > _SAY_EVERY or self._said_at == 0.0:
            self._said_at = now
            _log.warning(what, extra={"error": type(error).__name__})


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Scan:
    """One pass over the partitions of `upto`."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        topics: Mapping[str, str],
        where: Filter,
        after: dict[int, int],
        upto: dict[int, int],
    ) -> None:
        self._where = where
        self._topics = topics
        self._sources = {topic: source for source, topic in topics.items()}
        self._after = after
        self._upto = upto
        self._given = dict(after)
        self._ahead: deque[Read] = deque()
        self._last: dict[TopicPartition, int] = {}
        make: Any = AIOKafkaConsumer
        self._consumer = make(
            **arguments,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=15_000,
            fetch_max_bytes=8 * 2**20,
            max_partition_fetch_bytes=2**20,
        )

    def goes_on(self, where: Filter, after: Mapping[int, int], upto: Mapping[int, int]) -> bool:
        """Return whether a read of these arguments is the next of this scan."""
        return where == self._where and upto == self._upto and after == self._given

    async def open(self) -> None:
        """Connect, and go to where each partition is to be read from.

        Raises:
            KafkaError, OSError, TimeoutError: the cluster does not answer.
        """
        async with asyncio.timeout(_OPEN_SECONDS):
            await self._consumer.start()
            places = {place: number for number in self._upto if (place := self._place(number)) is not None}
            if not places:
                return
            beginnings = await self._consumer.beginning_offsets(list(places))
            ends = await self._consumer.end_offsets(list(places))
            firsts = await self._firsts(ends)
            starts = {}
            for place, number in places.items():
                start = max(beginnings[place], firsts[place], self._after.get(number, -1) + 1)
                last = min(self._upto[number], ends[place] - 1)
                if start <= last:
                    starts[place], self._last[place] = start, last
            self._consumer.assign(list(starts))
            for place, start in starts.items():
                self._consumer.seek(place, start)

    async def _firsts(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return before which offset no record can be of the time asked for."""
        if self._where.since_us is None:
            return dict.fromkeys(ends, 0)
        since_ms = max(0, self._where.since_us // 1000 - _CLOCKS_DIFFER_MS)
        found = await self._consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
        return {place: end if found[place] is None else found[place].offset for place, end in ends.items()}

    async def read(self, max_events: int, max_bytes: int) -> list[Stored]:
        """Return the next fitting records, at least one if there is any.

        Raises:
            KafkaError, TimeoutError: reading has failed; this scan reads no more.
        """
        heard_at = time.monotonic()
        while not self._ahead:
            left = [place for place, last in self._last.items() if await self._consumer.position(place) <= last]
            if not left:
                return []
            if await self._poll(left, max_events):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _SILENT_SECONDS:
                raise TimeoutError
        return self._take(max_events, max_bytes)

    async def _poll(self, left: Sequence[TopicPartition], most: int) -> bool:
        async with asyncio.timeout(_SILENT_SECONDS):
            found = await self._consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=max(1, most))
        for place, records in found.items():
            wanted = [read_record(record, self._sources) for record in records if record.offset <= self._last[place]]
            self._ahead.extend(read for read in wanted if self._fits(read.stored))
        return bool(found)

    def _fits(self, stored: Stored) -> bool:
        return stored.event is None or fits(self._where, stored.event)

    def _take(self, max_events: int, max_bytes: int) -> list[Stored]:
        taken: list[Stored] = []
        while self._ahead and len(taken) < max(1, max_events):
            max_bytes -= self._ahead[0].size
            if taken and max_bytes < 0:
                break
            taken.append(self._ahead.popleft().stored)
        self._given.update(stored.position for stored in taken)
        return taken

    async def close(self) -> None:
        """Let go of the connections, in bounded time."""
        stopping = asyncio.ensure_future(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=_CLOSE_SECONDS)
        stopping.cancel()

    def _place(self, number: int) -> TopicPartition | None:
        source = source_of(number, self._topics)
        if source is None or self._where.source not in (None, source):
            return None
        return TopicPartition(self._topics[source], kafka_partition(number))
