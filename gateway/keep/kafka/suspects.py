"""Which partitions to poll when one of them holds a batch that cannot be read. Pure.

The client does not say which one it was, and gives none of the records before it either. So all are polled one by one,
a record at a time, until it shows; from then on that one is polled seldom and alone, and does not hold up the others.
"""

from collections.abc import Iterable

_SEARCH_SECONDS = 10.0
_AGAIN_SECONDS = 30.0


class Suspects:
    """The partitions of one assignment; times are monotonic, in seconds."""

    def __init__(self) -> None:
        self.culprits: dict[int, float] = {}
        self._search_until = 0.0

    def sound(self, partitions: Iterable[int]) -> list[int]:
        """Return those of `partitions` that are not known to be unreadable."""
        return [one for one in partitions if one not in self.culprits]

    def searching(self, now: float) -> bool:
        """Return whether to poll the sound ones one by one, a record at a time."""
        return now < self._search_until

    def due(self, now: float) -> int | None:
        """Return an unreadable partition that is to be polled now, alone, or None."""
        found = next((one for one, at in self.culprits.items() if at <= now), None)
        if found is not None:
            self.culprits[found] = now + _AGAIN_SECONDS
        return found

    def failed(self, polled: list[int], now: float) -> int | None:
        """Note that one of the polled could not be read; return it if there was no other."""
        if len(polled) > 1:
            self._search_until = now + _SEARCH_SECONDS
            return None
        self._search_until = 0.0
        self.culprits[polled[0]] = now + _AGAIN_SECONDS
        return polled[0]

    def read(self, partition: int) -> None:
        """Note that a record of the partition was read."""
        self.culprits.pop(partition, None)
