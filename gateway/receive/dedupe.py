"""Which events are in flight, and which are known to be durable. Pure: `now` comes in as an argument, no clock, no I/O.

    NEW --claim--> IN FLIGHT --confirm--> CONFIRMED --forgotten, oldest first--> NEW
                        |---release, expire----------------------------------------^

A key is confirmed only after its event is durable, so that "duplicate" is only ever said of something in the log. A
claim ends with the outcome of its append, or is released as unknown when undecided for too long (design section 6.1);
the outcome of an append that comes after that still confirms.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

H = TypeVar("H")


class Claims(Generic[H]):
    """The claims on dedupe keys. `H` is whatever stands for an append in flight.

    Args:
        undecided_after: seconds after which a claim without an outcome is released.
        max_ids: how many confirmed keys to remember; 0 where the log itself knows them.
    """

    __slots__ = ("_confirmed", "_in_flight", "_max_ids", "_undecided_after")

    def __init__(self, *, undecided_after: float, max_ids: int = 0) -> None:
        self._undecided_after = undecided_after
        self._max_ids = max_ids
        self._in_flight: dict[bytes, tuple[H, float]] = {}
        # A plain dict would walk past all that it forgot to find its oldest key.
        self._confirmed: OrderedDict[bytes, None] = OrderedDict()

    def in_flight(self, key: bytes) -> H | None:
        """Return the append that holds the claim on this key."""
        held = self._in_flight.get(key)
        return None if held is None else held[0]

    def is_confirmed(self, key: bytes) -> bool:
        """Return whether the key is remembered as durable."""
        return key in self._confirmed

    def claim(self, key: bytes, handle: H, now: float) -> None:
        """Claim a key that is neither in flight nor confirmed."""
        self._in_flight[key] = (handle, now)

    def confirm(self, key: bytes, handle: H) -> None:
        """Note that this append made the event durable; its claim may have expired meanwhile."""
        self.release(key, handle)
        if not self._max_ids:
            return
        self._confirmed.pop(key, None)
        self._confirmed[key] = None
        if len(self._confirmed) > self._max_ids:
            self._confirmed.popitem(last=False)

    def release(self, key: bytes, handle: H) -> None:
        """End the claim if this append holds it still; the next copy is new."""
        held = self._in_flight.get(key)
        if held is not None and held[0] is handle:
            del self._in_flight[key]

    def expire(self, now: float) -> list[H]:
        """Release the claims undecided for too long, and return their handles. Claims are kept in order of time."""
        expired: list[tuple[bytes, H]] = []
        for key, (handle, since) in self._in_flight.items():
            if now - since < self._undecided_after:
                break
            expired.append((key, handle))
        for key, _ in expired:
            del self._in_flight[key]
        return [handle for _, handle in expired]

    @property
    def undecided(self) -> int:
        """How many claims are in flight."""
        return len(self._in_flight)

    @property
    def remembered(self) -> int:
        """How many keys are remembered as durable."""
        return len(self._confirmed)
