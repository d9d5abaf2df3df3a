"""Forgetting ids after their window, by a clock of its own that cannot be rushed.

The expiry clock follows the wall clock, but goes forward at most twice as fast as time passes, never back, and only as
fast as time passes once a jump was seen while running (design 6.19): a wrong date at boot or a bad time server must
not erase what protects against duplicates. Being late is harmless, so that it catches up slowly after a long stop.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import apsw

from gateway.core.event import Event
from gateway.keep.sqlite.options import LogOptions

log = logging.getLogger("gateway.keep")

DAY_US: Final = 86_400_000_000
_JUMP_US: Final = 3_600_000_000
_CATCH_UP: Final = 2.0
_SLICE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class ExpiryClock:
    """What expiry believes: `now_us`. `wall_us` and `steady` are the two clocks at the last look; `jumped_us` the jump.

    Pure: `advance` returns the next one.
    """

    now_us: int
    wall_us: int
    steady: float
    jumped_us: int = 0

    def advance(self, wall_us: int, steady: float) -> "ExpiryClock":
        """Return the clock after a look at the others, `steady` in seconds."""
        elapsed_us = int(max(0.0, steady - self.steady) * 1e6)
        jump = wall_us - (self.wall_us + elapsed_us)
        jumped = self.jumped_us + jump if abs(jump) > _JUMP_US else self.jumped_us
        if abs(jumped) <= _JUMP_US:
            jumped = 0
        allowed = elapsed_us if jumped else int(elapsed_us * _CATCH_UP)
        now = max(self.now_us, min(wall_us, self.now_us + allowed))
        return replace(self, now_us=now, wall_us=wall_us, steady=steady, jumped_us=jumped)


class Expiry:
    """Says how long an id is remembered, and forgets expired ones by a walk in key order that needs no index."""

    def __init__(
        self,
        connection: apsw.Connection,
        options: LogOptions,
        *,
        wall_us: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._options = options
        self._wall_us, self.steady = wall_us, steady
        kept: Any = connection.execute("select value from meta where key = 'expiry_us'").get
        self._clock = ExpiryClock(wall_us() if kept is None else int(kept), wall_us(), steady())
        self._from = b""

    @property
    def now_us(self) -> int:
        """What the expiry clock shows."""
        return self._clock.now_us

    def advance(self) -> None:
        """Look at the clocks; report a jump once."""
        before = self._clock
        self._clock = before.advance(self._wall_us(), self.steady())
        if self._clock.jumped_us and not before.jumped_us:
            log.error("log.clock_jumped", extra={"seconds": self._clock.jumped_us / 1e6})

    def keep(self) -> None:
        """Note durably how far the clock came."""
        self._connection.execute("insert or replace into meta values ('expiry_us', ?)", (self.now_us,))

    def day_of(self, event: Event) -> int:
        """Return the last day, counted from the epoch, on which the event's id is remembered."""
        window = self._options.windows.get(event.source, self._options.default_window)
        # The later of the two: a wall clock that stood in the past must not shorten the window.
        return (max(event.received_us, self.now_us) + int(window * 1e6)) // DAY_US + 1

    def slice(self) -> None:
        """Forget what is expired among the next rows; at the end begin anew."""
        execute = self._connection.execute
        today = self.now_us // DAY_US
        step = "select identity from id where identity > ? order by identity limit 1 offset ?"
        last: Any = execute(step, (self._from, _SLICE_ROWS - 1)).get
        bounds: tuple[Any, ...] = (today, self._from) if last is None else (today, self._from, last)
        expired = "from id where expires_day < ? and identity > ?" + (" and identity <= ?" if last is not None else "")
        if execute(f"select exists (select 1 {expired})", bounds).get:
            execute(f"delete {expired}", bounds)
        if last is None and execute("select exists (select 1 from conflict where expires_day < ?)", (today,)).get:
            execute("delete from conflict where expires_day < ?", (today,))
        self._from = last or b""
