"""Forgetting ids after their window, by a clock of its own that cannot be rushed.

The expiry clock follows the wall clock, but goes forward at most twice as fast as time passes, never back, and only as
fast as time passes once a jump was seen while running (design 6.19): a wrong date at boot or a bad time server must
not erase what protects against duplicates. Being late is harmless, so that it catches up slowly after a long stop.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final

import apsw

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


def expires_day(received_us: int, window: float) -> int:
    """Return the last day, counted from the epoch, on which an id of that age is remembered; `window` in seconds."""
    return (received_us + int(window * 1e6)) // DAY_US + 1


class IdExpiry:
    """Walks over the remembered ids in key order, a slice a call, round and round; needs no index for it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._from = b""

    def slice(self, now_us: int) -> None:
        """Forget what is expired among the next rows; at the end begin anew."""
        execute = self._connection.execute
        today = now_us // DAY_US
        step = "select identity from id where identity > ? order by identity limit 1 offset ?"
        last = execute(step, (self._from, _SLICE_ROWS - 1)).get
        until = "and identity <= ?" if last is not None else ""
        bounds = (self._from, last) if last is not None else (self._from,)
        expired = f"from id where identity > ? {until} and expires_day < {int(today)}"
        if execute(f"select exists (select 1 {expired})", bounds).get:
            execute(f"delete {expired}", bounds)
        if last is None and execute("select exists (select 1 from conflict where expires_day < ?)", (today,)).get:
            execute("delete from conflict where expires_day < ?", (today,))
        self._from = last or b""
