"""Letting go of old events: by age and by size, from the old end, in small slices between two batches.

By age, an event stays while an active router or its replay needs it. A router that has not moved for the whole
retention time is idle, and holds nothing back any more. By size nothing is held back. What goes although a router had
not handled it becomes a gap: a named, counted row, and a warning.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import apsw

from gateway.keep.sqlite.batches import Transaction
from gateway.keep.sqlite.pins import Pin

log = logging.getLogger("gateway.keep")

SLICE_ROWS = 250
_WARN_EVERY_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go: up to `by_size` whatever it is; up to `by_age` if received before `before_us`."""

    by_size: int
    by_age: int
    before_us: int

    def takes(self, offset: int, received_us: int) -> bool:
        """Return whether that event goes."""
        return offset <= self.by_size or (offset <= self.by_age and received_us < self.before_us)


class Retention:
    """The deleting side of the writer's connection.

    Args:
        connection: the writer's.
        retention: how long events stay, in seconds.
        max_bytes: how much of the disk they may take.
        keep_unhandled: nothing goes that a router still needs, whatever its age and size.
        read_pins: what each router needs now; None for one that cannot be asked.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        retention: float,
        max_bytes: int,
        keep_unhandled: bool = False,
        read_pins: Callable[[], Mapping[str, Pin | None]],
    ) -> None:
        self._connection = connection
        self._retention_us = int(retention * 1e6)
        self._max_bytes = max_bytes
        self._keep_unhandled = keep_unhandled
        self._read_pins = read_pins
        self._warned_us: dict[str, int] = {}

    def is_due(self, *, oldest_us: int, now_us: int, used_bytes: int) -> bool:
        """Return whether anything may have to go; costs nothing."""
        return used_bytes > self._max_bytes or oldest_us < now_us - self._retention_us

    def follow(self, now_us: int) -> Mapping[str, Pin]:
        """Note durably which routers moved, and forget those that are gone; return what each needs."""
        known = self._followers("seq")
        pins = self._pins(known)
        moved = [(name, pin.needed_after, now_us) for name, pin in pins.items() if known.get(name) != pin.needed_after]
        gone = [(name,) for name in known.keys() - pins.keys()]
        if moved or gone:
            with Transaction(self._connection):
                self._connection.executemany("insert or replace into follower values (?, ?, ?)", moved)
                self._connection.executemany("delete from follower where router = ?", gone)
        return pins

    def plan(self, *, first: int, last: int, used_bytes: int, now_us: int) -> Plan:
        """Return what may go now of the events `first` to `last`, which take `used_bytes`."""
        pins = self.follow(now_us)
        moved = self._followers("moved_us")
        active = [pin.needed_after for name, pin in pins.items() if self._counts(now_us - moved[name])]
        by_age = min([*active, last])
        over = max(0, used_bytes - self._max_bytes)
        by_size = first - 1 + -(-over * (last - first + 1) // used_bytes) if over else 0
        return Plan(
            by_size=min(by_size, by_age) if self._keep_unhandled else by_size,
            by_age=by_age,
            before_us=now_us - self._retention_us,
        )

    def _counts(self, idle_us: int) -> bool:
        return self._keep_unhandled or idle_us < self._retention_us

    def slice(self, plan: Plan, *, last: int, now_us: int) -> bool:
        """Delete the next few events of the plan; return whether there may be more. The newest event never goes."""
        sql = "select seq, received_us from event where seq < ? order by seq limit ?"
        rows: list[Any] = self._connection.execute(sql, (last, SLICE_ROWS)).fetchall()
        taken = 0
        while taken < len(rows) and plan.takes(*rows[taken]):
            taken += 1
        if taken == 0:
            return False
        first, end = rows[0][0], rows[taken - 1][0]
        pins = self._pins(self._followers("seq"))
        missed = {name: max(first, pin.cursor + 1) for name, pin in pins.items() if pin.cursor < end}
        with Transaction(self._connection):
            self._connection.execute("delete from event where seq <= ?", (end,))
            for router, start in missed.items():
                self._note_gap(router, start, end, now_us)
        return taken == SLICE_ROWS

    def _pins(self, known: Mapping[str, int]) -> Mapping[str, Pin]:
        """Return what each router needs. One that cannot be asked stands where it was last seen; it may go idle there.

        Were it left out, what it has not handled would go uncounted. A file that never was a router's is left out.
        """
        seen = {name: Pin(seq, seq) for name, seq in known.items()}
        found = ((name, pin or seen.get(name)) for name, pin in self._read_pins().items())
        return {name: pin for name, pin in found if pin is not None}

    def _followers(self, column: str) -> dict[str, int]:
        rows: list[Any] = self._connection.execute(f"select router, {column} from follower").fetchall()
        return dict(rows)

    def _note_gap(self, router: str, first: int, end: int, now_us: int) -> None:
        """Count the gap, in the row of the gap it continues if there is one; warn at most hourly a router."""
        events = end - first + 1
        continued = "update gap set to_seq = ?, events = events + ?, at_us = ? where router = ? and to_seq = ?"
        self._connection.execute(continued, (end, events, now_us, router, first - 1))
        if self._connection.changes() == 0:
            self._connection.execute("insert into gap values (?, ?, ?, ?, ?)", (router, first, end, events, now_us))
        if now_us - self._warned_us.get(router, -_WARN_EVERY_US) >= _WARN_EVERY_US:
            self._warned_us[router] = now_us
            log.warning("log.gap", extra={"router": router, "from_seq": first, "to_seq": end})
