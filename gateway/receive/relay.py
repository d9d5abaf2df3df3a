"""The relay: moves what waits in the spool into the log, in order of each lane, past what the log refuses.

What the log does not take is held back with all that follows in its lane; the other lanes go on. The position noted
durably is the one before the first held event: after a restart the relay offers again what lies beyond it, at most as
much as it may hold and had relayed meanwhile, and the log's dedupe and the handlers' marks absorb the copies. An event
is never passed over: one that cannot be read is set aside first, as it is, in a place that is counted and named.
"""

import asyncio
import logging
from asyncio import Future, Task
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.core.errors import TooLargeError, Unavailable
from gateway.core.event import Event
from gateway.keep.ports import Appended, EventLog, Stored, Subscription
from gateway.receive.held import AT_ONCE, Held, Lane

log = logging.getLogger("gateway.receive")

_RELAY_BYTES = 4 * 2**20
_HELD_MOST = 100_000
_PAUSE = 0.5
_PATIENCE = 1.0
_STUCK_PAUSE = 30.0
_UNREADABLE = Lane("", 0)
_EVERY_LANE = Lane("", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """The log that events belong into.

    Attributes:
        log: itself.
        patience: by configured source, how many seconds after a request's first byte the spool is used as well.
        check: raises `TooLargeError` for an event that it never takes.
        place: returns in which of its source's partitions it keeps an event, None while it does not know.
    """

    log: EventLog
    patience: Mapping[str, float]
    check: Callable[[Event], object] = lambda _: None
    place: Callable[[Event], int | None] = lambda _: 0


class Rows(Protocol):
    """The spool's rows by their offsets, beside the subscription that reads them in order."""

    async def read(self, offsets: Sequence[int], *, max_bytes: int) -> Sequence[Stored]:
        """Return the oldest of these rows, at least one."""
        ...

    async def set_aside(self, offset: int) -> None:
        """Keep a copy of a row's bytes, durably, where an operator finds it.

        Raises:
            OSError: it cannot be written now.
        """
        ...

    @property
    def aside(self) -> int:
        """How many were set aside, ever."""
        ...


class _Row(NamedTuple):
    lane: Lane
    offset: int
    event: Event


class Relay:
    """Reads `waiting` to its end, for ever, and appends to `primary`.

    Args:
        primary: the log that events belong into.
        waiting: the subscription that reads the spool; its position is how far the relay got.
        rows: the same rows by offset.
        read: called with each event that was read (None: it cannot be), once, in order.
        left: called with each event that the log has.
    """

    def __init__(
        self,
        primary: Primary,
        waiting: Subscription,
        rows: Rows,
        *,
        read: Callable[[Event | None], None],
        left: Callable[[Event], None],
    ) -> None:
        self._primary = primary
        self._waiting = waiting
        self._rows = rows
        self._read, self._left = read, left
        self._held = Held()
        self._tried: dict[Lane, list[tuple[_Row, Future[Appended]]]] = {}
        self._upto = 0
        self._complained: dict[Lane, float] = {}

    @property
    def held(self) -> int:
        """How many events were read and are not in the log."""
        return self._held.count

    @property
    def aside(self) -> int:
        """How many rows were set aside, ever."""
        return self._rows.aside

    @property
    def ahead(self) -> int:
        """How many events the log has of those beyond the noted position."""
        return self._upto - self._held.before(self._upto) - self._held.count

    async def run(self) -> None:
        """Relay until cancelled, which cancels no append."""
        fetching: Task[Sequence[Stored]] | None = None
        moved = False
        try:
            while True:
                if fetching is None and self._has_room():
                    fetching = asyncio.create_task(self._fetch())
                await self._wait(fetching, moved=moved)
                moved = await self._try_held()
                if fetching is not None and fetching.done():
                    moved |= await self._take(fetching.result())
                    fetching = None
                self._waiting.commit({0: self._held.before(self._upto)})
        finally:
            if fetching is not None:
                fetching.cancel()
                await asyncio.gather(fetching, return_exceptions=True)

    def _has_room(self) -> bool:
        if self._held.count < _HELD_MOST:
            return True
        self._complain(_EVERY_LANE, f"{self._held.count} events are held back, no more is read")
        return False

    async def _wait(self, fetching: "Task[Sequence[Stored]] | None", *, moved: bool) -> None:
        """Wait for more to relay, or until what is held may be tried again; not at all while that gets on."""
        if self._held.count:
            await asyncio.sleep(0 if moved else _PAUSE)
        elif fetching is not None:
            await asyncio.wait({fetching})

    async def _fetch(self) -> Sequence[Stored]:
        try:
            return await self._waiting.fetch(max_events=AT_ONCE, max_bytes=_RELAY_BYTES)
        except Exception as error:  # noqa: BLE001 - whatever it is, a relay that ends would never be missed
            self._complain(_EVERY_LANE, type(error).__name__)
            await asyncio.sleep(_STUCK_PAUSE)
            return ()

    async def _take(self, batch: Sequence[Stored]) -> bool:
        """Hold what was read, and offer what has nothing before it in its lane; return whether any was taken."""
        rows, free = list[_Row](), set[Lane]()
        for stored in batch:
            self._upto = offset = stored.position.offset
            self._read(stored.event)
            lane = self._lane(stored.event)
            if stored.event is not None and (lane in free or self._held.is_free(lane)):
                free.add(lane)
                rows.append(_Row(lane, offset, stored.event))
            self._held.hold(lane, offset)
        return await self._offer(rows) > 0

    def _lane(self, event: Event | None) -> Lane:
        return _UNREADABLE if event is None else self._held.lane(event.source, self._primary.place(event))

    async def _try_held(self) -> bool:
        """Offer the oldest of each lane; return whether any was taken."""
        taken, rows, size = 0, list[_Row](), 0
        try:
            for lane in self._held.lanes():
                if lane == _UNREADABLE:
                    taken += await self._set_aside()
                    continue
                taken += self._settle(lane)
                if lane in self._tried or self._held.is_free(lane):
                    continue
                found = await self._read_again(lane)
                rows += found
                size += sum(len(row.event.body) for row in found)
                if len(rows) >= AT_ONCE or size >= _RELAY_BYTES:
                    taken += await self._offer(rows)
                    rows, size = [], 0
            taken += await self._offer(rows)
        except Exception as error:  # noqa: BLE001 - as above
            self._complain(_EVERY_LANE, type(error).__name__)
        return taken > 0

    async def _read_again(self, lane: Lane) -> list[_Row]:
        rows = []
        for stored in await self._rows.read(self._held.first(lane), max_bytes=_RELAY_BYTES):
            offset = stored.position.offset
            if stored.event is None:
                self._held.let_go(lane, offset)
                self._held.hold(_UNREADABLE, offset)
            else:
                rows.append(_Row(lane, offset, stored.event))
        return rows

    async def _offer(self, rows: Sequence[_Row]) -> int:
        """Append rows that are held, lane by lane; return how many of them the log has now.

        A lane that does not answer soon is left to itself until it does.
        """
        lanes: defaultdict[Lane, list[_Row]] = defaultdict(list)
        for row in rows:
            lanes[row.lane].append(row)
        futures = [future for lane, some in lanes.items() for future in self._enqueue(lane, some)]
        if futures:
            await asyncio.wait(futures, timeout=_PATIENCE)
        return sum(self._settle(lane) for lane in lanes)

    def _enqueue(self, lane: Lane, rows: Sequence[_Row]) -> "Sequence[Future[Appended]]":
        try:
            futures = self._primary.log.append([row.event for row in rows])
        except Exception as error:  # noqa: BLE001 - as above
            if len(rows) == 1 and not isinstance(error, Unavailable):
                self._complain(lane, self._why(lane, error))
            self._held.tried(lane, len(rows), 0)
            return ()
        self._tried[lane] = list(zip(rows, futures, strict=True))
        return futures

    def _settle(self, lane: Lane) -> int:
        """Let go of what the log took, once all that was tried of the lane is decided; return how many."""
        tried = self._tried.get(lane, [])
        if not tried or not all(future.done() for _, future in tried):
            return 0
        del self._tried[lane]
        taken = [row for row, future in tried if not future.cancelled() and future.exception() is None]
        for row in taken:
            self._held.let_go(lane, row.offset)
            self._left(row.event)
        self._held.tried(lane, len(tried), len(taken))
        if taken:
            self._complained.pop(lane, None)
        return len(taken)

    def _why(self, lane: Lane, error: Exception) -> str:
        if lane.source not in self._primary.patience:
            return f"source {lane.source} is not configured"
        return "too_large" if isinstance(error, TooLargeError) else type(error).__name__

    async def _set_aside(self) -> int:
        """Set aside what cannot be read; return how many were."""
        offsets = self._held.first(_UNREADABLE)
        for done, offset in enumerate(offsets):
            try:
                await self._rows.set_aside(offset)
            except OSError as error:
                self._complain(_UNREADABLE, f"an unreadable row cannot be set aside ({error.strerror})")
                return done
            log.error("spool.set_aside", extra={"offset": offset})
            self._held.let_go(_UNREADABLE, offset)
        return len(offsets)

    def _complain(self, lane: Lane, cause: str) -> None:
        """Say that a lane stands, now and then: an acknowledged event is never passed over."""
        now = asyncio.get_running_loop().time()
        if now - self._complained.get(lane, -_STUCK_PAUSE) >= _STUCK_PAUSE:
            self._complained[lane] = now
            log.error("spool.stuck", extra={"source": lane.source, "cause": cause})
