"""The breaker: stops a router that turns nearly everything into dead letters, as a bad deployment does. Pure."""

from collections import deque

IN_A_ROW = 20
OF_LAST = 200


class Breaker:
    """Trips when 20 pairs in a row die, or half of the last 200.

    Id conflicts are not recorded: a sender can cause them.
    """

    def __init__(self) -> None:
        self._row = 0
        self._last: deque[bool] = deque(maxlen=OF_LAST)
        self._dead = 0

    def record(self, *, dead: bool) -> bool:
        """Note a pair's final outcome; return whether the router must pause now."""
        if len(self._last) == OF_LAST and self._last[0]:
            self._dead -= 1
        self._last.append(dead)
        self._dead += dead
        self._row = self._row + 1 if dead else 0
        if not dead:
            return False
        return self._row >= IN_A_ROW or (len(self._last) == OF_LAST and self._dead * 2 >= OF_LAST)

    def reset(self) -> None:
        """Start counting afresh, as `routers resume` asks."""
        self._row = self._dead = 0
        self._last.clear()
