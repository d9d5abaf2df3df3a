"""Where the reading of a partition begins: decided from what the group, the store and the log know. Pure.

Offsets here are Kafka's: the next one to read.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

Known = Literal["group", "store", "new"]


class Place(NamedTuple):
    """Where to begin, how many events retention removed before that, and who knew the place."""

    offset: int
    gap: int
    known: Known


class BeyondEndError(Exception):
    """The place is beyond the end of the partition: it is another log than the one it was noted for."""

    def __init__(self, offset: int, end: int) -> None:
        super().__init__(f"position {offset} is beyond the end {end}")
        self.offset = offset
        self.end = end


class Places(Protocol):
    """The copy of a router's positions that the store keeps: last finished offsets, by partition number; its gaps."""

    async def load(self) -> Mapping[int, int]:
        """Return all that is kept.

        Raises:
            Unavailable: the store cannot be asked now.
        """
        ...

    def save(self, positions: Mapping[int, int]) -> None:
        """Note that these are finished; best effort, a few seconds late."""
        ...

    def note_gap(self, partition: int, after: int, events: int) -> None:
        """Note that retention removed `events` after the finished offset `after`; as `save`. Twice counts once."""
        ...


def place(*, committed: int | None, kept: int | None, beginning: int, end: int) -> Place:
    """Return where to begin a partition that the log has from `beginning` up to, not including, `end`.

    `committed` is the group's word, `kept` the store's, which counts only without the group's. A partition that
    neither knows is new, and read from its beginning.

    Raises:
        BeyondEndError: the place is beyond the end.
    """
    if committed is not None:
        return _within(committed, "group", beginning, end)
    if kept is not None:
        return _within(kept, "store", beginning, end)
    return Place(beginning, 0, "new")


def _within(offset: int, known: Known, beginning: int, end: int) -> Place:
    if offset > end:
        raise BeyondEndError(offset, end)
    return Place(max(offset, beginning), max(0, beginning - offset), known)
