"""What the relay has read from the spool and the log has not taken: offsets by lane, in order. Pure.

A lane is a partition of the log: what the log takes or refuses together, and in which order counts. Bodies are not
held, they are read again; so an event costs some tens of bytes here.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

AT_ONCE = 500
_UNPLACED = -1


class Lane(NamedTuple):
    """A source's partition; its number is negative while the log does not know the source's topic."""

    source: str
    number: int


class _Line:
    __slots__ = ("at_once", "offsets")

    def __init__(self) -> None:
        self.offsets: deque[int] = deque()
        self.at_once = AT_ONCE


class Held:
    """The held offsets.

    Attributes:
        count: how many there are.
    """

    __slots__ = ("_lines", "count")

    def __init__(self) -> None:
        self._lines: dict[Lane, _Line] = {}
        self.count = 0

    def lane(self, source: str, number: int | None) -> Lane:
        """Return the lane of an event in partition `number`, None for unknown.

        While an event of the source is held whose partition was unknown, later ones wait behind it, since their key
        may be the same.
        """
        unplaced = Lane(source, _UNPLACED)
        return unplaced if number is None or unplaced in self._lines else Lane(source, number)

    def lanes(self) -> Sequence[Lane]:
        """Return the lanes that have any."""
        return list(self._lines)

    def is_free(self, lane: Lane) -> bool:
        """Return whether the lane has none."""
        return lane not in self._lines

    def hold(self, lane: Lane, offset: int) -> None:
        """Add the newest of a lane."""
        self._lines.setdefault(lane, _Line()).offsets.append(offset)
        self.count += 1

    def first(self, lane: Lane) -> Sequence[int]:
        """Return the oldest of a lane, as many as are to be tried together."""
        line = self._lines[lane]
        return [line.offsets[place] for place in range(min(line.at_once, len(line.offsets)))]

    def let_go(self, lane: Lane, offset: int) -> None:
        """Forget one, which is among the oldest of its lane."""
        line = self._lines[lane]
        line.offsets.remove(offset)
        self.count -= 1
        if not line.offsets:
            del self._lines[lane]

    def tried(self, lane: Lane, tried: int, taken: int) -> None:
        """Note how many of a lane were tried together and taken: after a refusal fewer are tried the next time.

        So what fits passes, what never will stands alone, and a partition that is down is asked with one event.
        """
        line = self._lines.get(lane)
        if line is not None:
            line.at_once = min(2 * line.at_once, AT_ONCE) if taken == tried else max(1, tried // 2)

    def before(self, upto: int) -> int:
        """Return up to which offset none is held, of all that were read up to `upto`."""
        return min((line.offsets[0] - 1 for line in self._lines.values()), default=upto)
