"""The memory log: the embedded log's behaviour without a disk, for tests and for authors of handlers.

It is no kinder: futures complete in a later turn of the loop, copies are judged alike, the buffer has its budget, and
it can be told to fail.
"""

import asyncio
import secrets
import time
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gateway.core.errors import EnvelopeError, Unavailable, UnavailableReason
from gateway.core.event import Event
from gateway.keep.copies import Known, Verdict, body_digest, flags_of, judge
from gateway.keep.envelope import decode, encode
from gateway.keep.ports import Appended, LogHealth, Position, Stored

_ENTRY_BYTES = 512


class _Kept(NamedTuple):
    head: bytes
    body: bytes
    received_us: int


class _Waiting(NamedTuple):
    event: Event
    future: "Future[Appended]"
    size: int


def _wall_us() -> int:
    return time.time_ns() // 1000


class MemoryLog:
    """An `EventLog` in memory. Made on the event loop's thread, which must be running.

    Args:
        wake: called after each group of events is stored.
        max_queued_events: how many may wait.
        max_queued_bytes: how much they may take.
        now_us: the wall clock.
    """

    def __init__(
        self,
        *,
        wake: Callable[[], None] = lambda: None,
        max_queued_events: int = 20_000,
        max_queued_bytes: int = 64 * 2**20,
        now_us: Callable[[], int] = _wall_us,
    ) -> None:
        self.log_id = secrets.token_hex(16)
        self.kept: list[_Kept] = []
        self._wake = wake
        self._max_events, self._max_bytes = max_queued_events, max_queued_bytes
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._first: dict[bytes, Known] = {}
        self._conflicting: dict[tuple[bytes, bytes], int] = {}
        self._waiting: list[_Waiting] = []
        self._queued_bytes = self._stored_bytes = 0
        self._held = False
        self._refusal: UnavailableReason | None = None

    @property
    def last_offset(self) -> int:
        """The offset of the newest stored event, 0 if there is none."""
        return len(self.kept)

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        """Enqueue `events` and return at once, one future an event.

        Raises:
            Unavailable: nothing was enqueued.
        """
        if self._refusal is not None:
            raise Unavailable(self._refusal)
        entries = [
            _Waiting(event, self._loop.create_future(), len(encode(event)) + len(event.body) + _ENTRY_BYTES)
            for event in events
        ]
        size = sum(entry.size for entry in entries)
        if len(self._waiting) + len(entries) > self._max_events or self._queued_bytes + size > self._max_bytes:
            raise Unavailable("overloaded")
        if not self._waiting and entries:
            self._loop.call_soon(self._store)
        self._waiting += entries
        self._queued_bytes += size
        return [entry.future for entry in entries]

    def health(self) -> LogHealth:
        """Return what is known."""
        oldest = (self._now_us() - self.kept[0].received_us) / 1e6 if self.kept else 0.0
        return LogHealth(
            writable=self._refusal is None,
            reason=self._refusal,
            events=len(self.kept),
            bytes=self._stored_bytes,
            oldest_seconds=max(0.0, oldest),
            queued_events=len(self._waiting),
            queued_bytes=self._queued_bytes,
        )

    async def close(self) -> None:
        """Finish what is enqueued, then close. A second call does nothing."""
        self._refusal = self._refusal or "draining"
        self.release()

    def hold(self) -> None:
        """Keep what is appended from now on undecided, until `release`."""
        self._held = True

    def release(self) -> None:
        """Decide what was held."""
        self._held = False
        self._store()

    def refuse(self, reason: UnavailableReason | None) -> None:
        """Refuse appends with `reason`, or take them again with None."""
        self._refusal = reason

    def _store(self) -> None:
        if self._held or not self._waiting:
            return
        waiting, self._waiting, self._queued_bytes = self._waiting, [], 0
        events = [entry.event for entry in waiting]
        verdicts = judge(events, self._first, self._conflicting, len(self.kept) + 1)
        for entry, verdict in zip(waiting, verdicts, strict=True):
            self._keep(entry.event, verdict)
            _settle(entry, _appended(entry.event, verdict))
        self._wake()

    def _keep(self, event: Event, verdict: Verdict) -> None:
        if not verdict.store:
            return
        if verdict.conflict:
            self._conflicting[event.identity, body_digest(event)] = verdict.offset
        else:
            self._first[event.identity] = Known(verdict.offset, body_digest(event))
        head = encode(msgspec.structs.replace(event, flags=flags_of(event, verdict)))
        self.kept.append(_Kept(head, event.body, event.received_us))
        self._stored_bytes += len(head) + len(event.body)


class MemoryReader:
    """Reads a `MemoryLog` as the embedded log's reader reads its file."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> list[Stored]:
        """Return the records that follow `seq` in order, at least one if there is any."""
        found: list[Stored] = []
        for number, kept in enumerate(self._log.kept[seq : seq + max_events], start=seq + 1):
            max_bytes -= len(kept.head) + len(kept.body)
            if found and max_bytes < 0:
                break
            found.append(_stored(number, kept))
        return found

    def last_seq(self) -> int:
        """Return the offset of the newest event, 0 if there is none."""
        return len(self._log.kept)

    def log_id(self) -> str:
        """Return the log's id."""
        return self._log.log_id

    def count_after(self, seq: int) -> int:
        """Return how many events follow `seq`."""
        return max(0, len(self._log.kept) - seq)

    def oldest_received_after(self, seq: int) -> int | None:
        """Return when the first event that follows `seq` was received, in microseconds, or None."""
        return self._log.kept[seq].received_us if seq < len(self._log.kept) else None

    def gap_events(self, router: str) -> int:  # noqa: ARG002 - the memory log never lets go of an event
        """Return 0."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def _settle(entry: _Waiting, result: Appended | Unavailable) -> None:
    if entry.future.done():
        return
    if isinstance(result, Unavailable):
        entry.future.set_exception(Unavailable(result.reason, written=result.written))
    else:
        entry.future.set_result(result)


def _appended(event: Event, verdict: Verdict) -> Appended:
    return Appended(
        Position(0, verdict.offset),
        duplicate=not verdict.store,
        body_differs=verdict.body_differs,
        flags=flags_of(event, verdict),
    )


def _stored(number: int, kept: _Kept) -> Stored:
    try:
        return Stored(Position(0, number), decode(kept.head, kept.body))
    except EnvelopeError as error:
        return Stored(Position(0, number), None, str(error))
