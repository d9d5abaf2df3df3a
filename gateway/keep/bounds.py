"""Up to where expiry may remove: a bound that follows the wall clock, and that no jump of it can rush. Pure.

Design 6.19: the bound goes forward a little faster than time passes by a clock that never steps, so that it catches up
after a stop, and never back. Whoever keeps it between processes begins with what is kept.
"""

from typing import NamedTuple

_JUMP_US = 60_000_000


class Bound(NamedTuple):
    """The bound `at_us`; what was asked for at the last look, and when by the steady clock, in seconds."""

    at_us: int
    asked_us: int
    steady: float

    def advance(self, asked_us: int, steady: float, *, pace: float) -> "Bound":
        """Return the bound at a look that asks for `asked_us`; `pace` is how many times as fast as time it goes."""
        allowed_us = self.at_us + int((steady - self.steady) * 1e6 * pace)
        return Bound(max(self.at_us, min(asked_us, allowed_us)), asked_us, steady)

    def jump(self, asked_us: int, steady: float) -> int:
        """Return by how many seconds the wall clock jumped since the last look; 0 for less than a minute."""
        jump_us = asked_us - self.asked_us - int((steady - self.steady) * 1e6)
        return jump_us // 1_000_000 if abs(jump_us) > _JUMP_US else 0

    @property
    def removable_us(self) -> int:
        """Before which time all may be removed: never more than is asked for."""
        return min(self.at_us, self.asked_us)
