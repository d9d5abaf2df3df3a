"""From verified events to a durable outcome: claims, one append, one waiter and one timer a delivery.

An append belongs to the log, never to a request: a disconnect or a deadline cancels nothing, the claim stays, and the
provider's retry joins it. A duplicate is reported only after its first copy is durable.
"""

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import Sequence

from gateway.core.errors import Unavailable
from gateway.core.event import Event
from gateway.keep.ports import Appended, EventLog
from gateway.receive.dedupe import Claims
from gateway.receive.meter import EdgeMeter, SourceMeter

UNDECIDED_SECONDS = 30.0

log = logging.getLogger("gateway.receive")


class Waiter:
    """One delivery that waits until its events are decided, or its deadline comes."""

    __slots__ = ("error", "future", "left", "stored")

    def __init__(self, future: "Future[None]") -> None:
        self.future = future
        self.left = 0
        self.stored = False
        self.error: Unavailable | None = None

    def decided(self, error: Unavailable | None, *, stored: bool) -> None:
        """Note one event's outcome; wake the delivery with the last one, or with the first failure."""
        self.left -= 1
        self.stored |= stored
        if error is not None:
            self.error = error
        if (self.left == 0 or error is not None) and not self.future.done():
            self.future.set_result(None)

    def deadline(self) -> None:
        """Wake the delivery undecided."""
        if not self.future.done():
            self.error = Unavailable("deadline", written=None)
            self.future.set_result(None)


class Claim:
    """An append in flight, and the deliveries that wait for it: the first one stores, the others are duplicates."""

    __slots__ = ("appends", "body_sha256", "joined", "key", "meter", "owner")

    def __init__(self, appends: "Appends", event: Event, owner: Waiter, meter: SourceMeter) -> None:
        self.appends = appends
        self.key = event.dedupe_key
        self.body_sha256 = event.body_sha256
        self.owner = owner
        self.joined: list[Waiter] | None = None
        self.meter = meter

    def decided(self, future: "Future[Appended]") -> None:
        """Take the log's outcome, also when nobody waits any more."""
        error = _error_of(future)
        if error is not None:
            self.appends.failed(self, error)
            return
        appended = future.result()
        self.appends.claims.confirm(self.key, self)
        self._count(appended)
        self.wake(None, stored=not appended.duplicate)

    def wake(self, error: Unavailable | None, *, stored: bool) -> None:
        """Pass the outcome on."""
        self.owner.decided(error, stored=stored)
        for waiter in self.joined or ():
            waiter.decided(error, stored=False)

    def _count(self, appended: Appended) -> None:
        if not appended.duplicate:
            for flag in appended.flags:
                self.meter.flagged(flag)
        elif appended.body_differs:
            self.meter.flagged("body_differs")


def _error_of(future: "Future[Appended]") -> Unavailable | None:
    if future.cancelled():
        return Unavailable("log_down", written=None)
    error = future.exception()
    if error is None or isinstance(error, Unavailable):
        return error
    log.error("append.failed", extra={"error": type(error).__name__})
    return Unavailable("log_down", written=None)


class Appends:
    """All appends of the edge.

    Args:
        event_log: where events become durable.
        meter: counts failures.
        max_ids: how many durable ids to remember in memory; 0 where the log itself knows them.
    """

    __slots__ = ("_event_log", "_meter", "claims")

    def __init__(self, event_log: EventLog, meter: EdgeMeter, *, max_ids: int) -> None:
        self._event_log = event_log
        self._meter = meter
        self.claims: Claims[Claim] = Claims(undecided_after=UNDECIDED_SECONDS, max_ids=max_ids)

    async def store(self, events: Sequence[Event], meter: SourceMeter, *, until: float) -> bool:
        """Wait until all events are durable; return whether any was stored now, False if all are duplicates.

        Args:
            events: of one delivery; they are taken by the log together, or not at all.
            meter: of their source.
            until: the deadline on `time.monotonic`'s clock.

        Raises:
            Unavailable: one of them is not durable, or not by the deadline.
        """
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        waiter = Waiter(loop.create_future())
        self._append(events, waiter, meter, started)
        if waiter.left:
            timer = loop.call_later(until - started, waiter.deadline)
            try:
                await waiter.future
            finally:
                timer.cancel()
            if waiter.error is not None:
                raise waiter.error
            meter.appended(time.monotonic() - started)
        return waiter.stored

    def _append(self, events: Sequence[Event], waiter: Waiter, meter: SourceMeter, now: float) -> None:
        claimed: list[Claim] = []
        fresh: list[Event] = []
        for event in events:
            claim = self._claim(event, waiter, meter, now)
            if claim is not None:
                claimed.append(claim)
                fresh.append(event)
        if not fresh:
            return
        try:
            futures = self._event_log.append(fresh)
        except Unavailable as unavailable:
            self._meter.append_error(unavailable.reason)
            self._release(claimed)
            raise
        except BaseException:
            self._release(claimed)
            raise
        for claim, future in zip(claimed, futures, strict=True):
            future.add_done_callback(claim.decided)

    def _claim(self, event: Event, waiter: Waiter, meter: SourceMeter, now: float) -> Claim | None:
        """Claim a new event's key; None if it is confirmed, or in flight and the delivery joined it."""
        claims = self.claims
        found = claims.in_flight(event.dedupe_key)
        if found is None:
            if claims.is_confirmed(event.dedupe_key):
                return None
            waiter.left += 1
            claim = Claim(self, event, waiter, meter)
            claims.claim(event.dedupe_key, claim, now)
            return claim
        waiter.left += 1
        if found.joined is None:
            found.joined = []
        found.joined.append(waiter)
        if found.body_sha256 != event.body_sha256:
            meter.flagged("body_differs")
        return None

    def _release(self, claimed: Sequence[Claim]) -> None:
        for claim in claimed:
            self.claims.release(claim.key, claim)

    def failed(self, claim: Claim, error: Unavailable) -> None:
        """Release a claim whose append failed, or whose outcome is unknown, and tell those who wait."""
        self._meter.append_error(error.reason if error.written is False else "unknown")
        self.claims.release(claim.key, claim)
        claim.wake(error, stored=False)

    def expire(self, now: float) -> None:
        """Release the claims undecided for too long: the next copy is appended anew, the mark absorbs it."""
        for claim in self.claims.expire(now):
            self._meter.append_error("unknown")
            claim.wake(Unavailable("log_down", written=None), stored=False)
