"""One router's reading of the embedded log, and its cursor.

A reader of the log's file works in a thread of its own, one batch ahead of the worker. The cursor is only ever moved
forward, in memory at once and in the file with the next group.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import apsw

from gateway.keep.ports import Assignment, Backlog, Stored
from gateway.keep.sqlite.committer import Committer

_log = logging.getLogger("gateway.keep")

T = TypeVar("T")
_WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.25
_MOVE = (
    "insert into gateway_cursor (partition, offset) values (?, ?)"
    " on conflict do update set offset = excluded.offset where excluded.offset > gateway_cursor.offset"
)


class LogReader(Protocol):
    """What a subscription needs of a log. Called in one thread at a time, never on the event loop's."""

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> Sequence[Stored]:
        """Return the records that follow `seq`, at least one if there is any."""
        ...

    def count_after(self, seq: int) -> int:
        """Return about how many records follow `seq`."""
        ...

    def oldest_received_after(self, seq: int) -> int | None:
        """Return when the first record that follows `seq` was received, in microseconds, or None."""
        ...

    def gap_events(self, router: str) -> int:
        """Return how many records retention removed before `router` had handled them, ever."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class SqliteSubscription:
    """The subscription of one router; owns `reader`. Partition 0 alone."""

    def __init__(self, committer: Committer, reader: LogReader, *, router: str, now_us: Callable[[], int]) -> None:
        self._committer = committer
        self._reader = reader
        self._router = router
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        rows: list[Any] = committer.connection.execute("select partition, offset from gateway_cursor").fetchall()
        self._committed: dict[int, int] = dict(rows)
        self._read_upto = self._committed.get(0, 0)
        self._ahead: Future[Sequence[Stored]] | None = None
        self._woken = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Say that there may be more to read. Callable from any thread; without it, more is found within 250 ms."""
        with suppress(RuntimeError):  # the loop is gone, and with it the fetch
            self._loop.call_soon_threadsafe(self._woken.set)

    def listen(self, assignment: Assignment) -> None:
        """Do nothing: the one partition stays."""

    async def fetch(self, *, max_events: int, max_bytes: int) -> Sequence[Stored]:
        """Return the next records in order, at least one if any is there; wait up to a second for one, else empty."""
        until = self._loop.time() + _WAIT_SECONDS
        while not self._closed:
            self._woken.clear()
            batch = await self._take(max_events, max_bytes)
            if batch:
                return batch
            left = until - self._loop.time()
            if left <= 0 or self._closed:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _POLL_SECONDS)):
                    await self._woken.wait()
        return ()

    def commit(self, positions: Mapping[int, int]) -> None:
        """Note that all up to these offsets is durably handled; written with the next group, never moved back."""
        moved = False
        for partition, offset in positions.items():
            if offset > self._committed.get(partition, 0):
                self._committed[partition] = offset
                moved = True
        if moved:
            self._committer.defer("cursor", self._write)

    def committed(self) -> Mapping[int, int]:
        """Return the last position noted for each partition."""
        return dict(self._committed)

    async def backlog(self) -> Backlog:
        """Return how much is stored past the committed position."""
        upto = self._committed.get(0, 0)
        return await self._in_thread(lambda: self._measure(upto))

    async def close(self) -> None:
        """Stop reading; wakes a waiting `fetch`. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._woken.set()
        with suppress(asyncio.CancelledError):
            await self._in_thread(self._reader.close)
        self._thread.shutdown(wait=False)

    async def _take(self, max_events: int, max_bytes: int) -> Sequence[Stored]:
        ahead, self._ahead = self._ahead or self._read(max_events, max_bytes), None
        try:
            # Shielded: a cancelled fetch must not lose what the thread is reading.
            batch = await asyncio.shield(ahead)
        except asyncio.CancelledError:
            self._ahead = ahead
            raise
        if batch:
            self._tell_gap(batch[0].position.offset)
            self._read_upto = batch[-1].position.offset
            if not self._closed:
                self._ahead = self._read(max_events, max_bytes)
        return batch

    def _read(self, max_events: int, max_bytes: int) -> "Future[Sequence[Stored]]":
        upto = self._read_upto
        return self._in_thread(lambda: self._reader.read_after(upto, max_events, max_bytes))

    def _in_thread(self, call: Callable[[], T]) -> "Future[T]":
        return self._loop.run_in_executor(self._thread, call)

    def _tell_gap(self, offset: int) -> None:
        """Say what retention removed before this router had read it: offsets have no holes but those."""
        missing = offset - self._read_upto - 1
        if missing > 0:
            _log.warning("subscription.gap", extra={"router": self._router, "events": missing})

    def _measure(self, upto: int) -> Backlog:
        oldest_us = self._reader.oldest_received_after(upto)
        return Backlog(
            events=self._reader.count_after(upto),
            oldest_seconds=0.0 if oldest_us is None else max(0.0, (self._now_us() - oldest_us) / 1e6),
            gap_events=self._reader.gap_events(self._router),
        )

    def _write(self, connection: apsw.Connection) -> None:
        for move in self._committed.items():
            connection.execute(_MOVE, move)
