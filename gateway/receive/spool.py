"""The spool: what the log cannot take now is made durable in a second, embedded log, and relayed in order later.

An append goes to the log; if that refuses, fails, or has not answered within its patience, the event is written to the
spool too, and the first of the two that is durable answers the sender. The log may then hold it twice: the handlers'
marks absorb that. A lane, an ordering key of a source, whose events wait in the spool takes no direct appends until
they are relayed, across restarts too, so that order holds per edge. Events without an ordering key never wait: those
whose key is their own id.
"""

import asyncio
import time
import zlib
from asyncio import Future
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal

from gateway.core.errors import Unavailable
from gateway.core.event import Event
from gateway.keep.ports import Appended, Backlog, EventLog, LogHealth, Subscription
from gateway.receive.relay import Primary, Relay, Rows

SPOOLING = "spooling"

_LANES = 4096  # lanes share a place by chance: the counts stay bounded, and a lane waits for its neighbour


class _Patience:
    """What ends when the log has answered for all appends of one delivery: the timer of its patience."""

    __slots__ = ("left", "timer")

    def __init__(self, left: int) -> None:
        self.left = left
        self.timer: asyncio.TimerHandle | None = None

    def answered(self) -> None:
        """Count one answer; a timer that is cancelled lets go of the events it held."""
        self.left -= 1
        if not self.left and self.timer is not None:
            self.timer.cancel()


class _Append:
    """One event on its way into the log, and into the spool if need be.

    `in_log` is False while it is certainly not in the log, None once it may be.
    """

    __slots__ = ("event", "in_log", "outcome", "spooled")

    def __init__(self, event: Event, outcome: "Future[Appended]") -> None:
        self.event = event
        self.outcome = outcome
        self.spooled = False
        self.in_log: Literal[False] | None = False


class Spool:
    """An `EventLog` in front of two others; its owner runs `relay` as a task until it is cancelled.

    Args:
        primary: the log that events belong into.
        spool: where they are kept until it takes them.
        waiting: the subscription that reads the spool; its position is how far the relay got.
        rows: what the spool has, by offset.
        old: how many events an earlier process left in the spool.
    """

    def __init__(
        self,
        primary: Primary,
        spool: EventLog,
        waiting: Subscription,
        rows: Rows,
        *,
        old: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._primary = primary
        self._spool = spool
        self._waiting = waiting
        self._old = old
        self._lanes: Counter[int] = Counter()
        self._backlog = Backlog(old, 0.0)
        self._relay = Relay(primary, waiting, rows, read=self._note_read, left=self._leave)

    @property
    def backlog(self) -> Backlog:
        """How much waits in the spool, and for how long; about a second old."""
        return self._backlog

    @property
    def held(self) -> int:
        """How many of them the log refuses while it may take others, those behind them in order included."""
        return self._relay.held

    @property
    def aside(self) -> int:
        """How many unreadable rows were set aside, ever."""
        return self._relay.aside

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        """Enqueue `events`; each future completes when the event is durable in the log or in the spool.

        Raises:
            Unavailable: neither takes them.
            TooLargeError: the log never will.
        """
        appends = [_Append(event, self._loop.create_future()) for event in events]
        direct = [append for append in appends if not self._must_wait(append.event)]
        behind = [append for append in appends if self._must_wait(append.event)]
        for append in behind:
            self._primary.check(append.event)
        if direct:
            self._try_direct(direct)
            self._enter_late(behind)  # some are on their way: from here on each has an outcome of its own
        elif behind:
            self._enter(behind)
        return [append.outcome for append in appends]

    def health(self) -> LogHealth:
        """Return the log's health; writable while the spool is, with the reason `spooling`."""
        found = self._primary.log.health()
        spool = self._spool.health()
        if found.writable:
            return replace(found, reason=SPOOLING) if self._backlog.events else found
        return replace(found, writable=spool.writable, reason=SPOOLING if spool.writable else spool.reason)

    async def relay(self) -> None:
        """Move what waits into the log, in order, for ever."""
        measuring = asyncio.create_task(self._measure())
        try:
            await self._relay.run()
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)

    async def close(self) -> None:
        """Finish what is enqueued in both, then close them; what still waits is relayed after the next start."""
        await self._primary.log.close()
        await self._waiting.close()
        await self._spool.close()

    # Into the one or the other

    def _must_wait(self, event: Event) -> bool:
        return _is_ordered(event) and (self._old > 0 or _lane(event) in self._lanes)

    def _try_direct(self, appends: Sequence[_Append]) -> None:
        try:
            futures = self._primary.log.append([append.event for append in appends])
        except Unavailable:
            self._enter(appends)
            return
        patience = _Patience(len(appends))
        for append, future in zip(appends, futures, strict=True):
            append.in_log = None
            future.add_done_callback(partial(self._answered, append, patience))
        seconds = min(self._patience_left(append.event) for append in appends)
        patience.timer = self._loop.call_later(seconds, self._enter_late, appends)

    def _patience_left(self, event: Event) -> float:
        """Return how long to wait for the log: the less, the longer the body took. A clock that steps does no harm."""
        patience = self._primary.patience[event.source]
        return min(patience, max(0.0, patience - time.time() + event.received_us / 1e6))

    def _answered(self, append: _Append, patience: _Patience, future: "Future[Appended]") -> None:
        patience.answered()
        error = Unavailable("log_down", written=None) if future.cancelled() else future.exception()
        if error is not None:
            append.in_log = _written(error)
            self._enter_late([append])
        elif not append.outcome.done():
            append.outcome.set_result(future.result())

    def _enter_late(self, appends: Sequence[_Append]) -> None:
        """Write to the spool what the log has not made durable; nobody is there any more to raise to."""
        late = [append for append in appends if not append.spooled and not append.outcome.done()]
        if not late:
            return
        try:
            self._enter(late)
        except Unavailable as error:
            for append in late:
                self._give_up(append, error)

    def _enter(self, appends: Sequence[_Append]) -> None:
        futures = self._spool.append([append.event for append in appends])
        for append, future in zip(appends, futures, strict=True):
            append.spooled = True
            if _is_ordered(append.event):
                self._lanes[_lane(append.event)] += 1
            future.add_done_callback(partial(self._spooled, append))

    def _spooled(self, append: _Append, future: "Future[Appended]") -> None:
        error = Unavailable("log_down", written=None) if future.cancelled() else future.exception()
        if error is not None or future.result().duplicate:
            self._leave(append.event)  # no row of it came into the spool
        if error is not None:
            self._give_up(append, error)
        elif not append.outcome.done():
            append.outcome.set_result(future.result())

    def _give_up(self, append: _Append, error: BaseException) -> None:
        """Neither took it: what the log may still do with it is unknown, unless it has failed for certain."""
        if append.outcome.done():
            return
        certain = append.in_log is False and _written(error) is False
        reason = error.reason if isinstance(error, Unavailable) else "log_down"
        append.outcome.set_exception(Unavailable(reason, written=False if certain else None))

    # Out of the spool

    def _note_read(self, event: Event | None) -> None:
        """Count what an earlier process left as what this one spooled is, from its reading on."""
        if self._old:
            self._old -= 1
            if event is not None and _is_ordered(event):
                self._lanes[_lane(event)] += 1

    def _leave(self, event: Event) -> None:
        lane = _lane(event)
        if _is_ordered(event) and lane in self._lanes:
            self._lanes[lane] -= 1
            if not self._lanes[lane]:
                del self._lanes[lane]

    async def _measure(self) -> None:
        while True:
            with suppress(Exception):  # what cannot be measured now can be later
                found = await self._waiting.backlog()
                self._backlog = replace(found, events=max(0, found.events - self._relay.ahead))
            await asyncio.sleep(1.0)


def _is_ordered(event: Event) -> bool:
    """Return whether others may have its key: one without an ordering key has its own id there."""
    return event.key not in ("", event.id)


def _written(error: BaseException) -> Literal[False] | None:
    return error.written if isinstance(error, Unavailable) else None


def _lane(event: Event) -> int:
    return zlib.crc32(event.key.encode("utf-8", "surrogatepass"), zlib.crc32(event.source.encode())) % _LANES
