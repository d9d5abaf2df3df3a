"""What one worker knows of the rows of its partitions: how many wait, and how many are dead. Pure.

How many wait in each lane is known of strict handlers alone, which ask: of a million keys it would take 400 MB.

A partition's rows are known as of a revision, a number that every transaction which changes them raises by one. A
worker adds its own changes; a revision that it knows nothing of says that others changed rows, or that a write it gave
up was written after all, and the partition is read again.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Lane(NamedTuple):
    """Whose order a pair stands in: the handler's, for a key, within a partition."""

    partition: int
    handler: str
    key: str


@dataclass(slots=True)
class Change:
    """What one transaction changed: the new revisions, rows by lane, dead letters by partition, the rows it wrote."""

    revisions: dict[int, int] = field(default_factory=dict)
    lanes: Counter[Lane] = field(default_factory=Counter)
    dead: Counter[int] = field(default_factory=Counter)
    rows: set[int] = field(default_factory=set)


class Place:
    """One partition's rows: parked or held, those of strict handlers by (handler, key), and dead.

    `newest` is the last revision that is known of.
    """

    __slots__ = ("dead", "lanes", "newest", "parked", "revision")

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.newest = revision
        self.parked = 0
        self.lanes: Counter[tuple[str, str]] = Counter()
        self.dead = 0


class Counts:
    """The partitions that were taken. A change of another partition is passed over.

    `strict` names the handlers whose lanes are counted, None for all.
    """

    def __init__(self, strict: Collection[str] | None = None) -> None:
        self._strict = strict
        self.places: dict[int, Place] = {}
        self._parked = 0
        self._dead = 0

    def take(self, partition: int, place: Place) -> None:
        """Know a partition as of now; one that is known stays the same object, as long as it is not dropped."""
        known = self.places.setdefault(partition, Place())
        self._parked += place.parked - known.parked
        self._dead += place.dead - known.dead
        known.revision = known.newest = place.revision
        known.parked, known.lanes, known.dead = place.parked, place.lanes, place.dead

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions."""
        for partition in partitions:
            place = self.places.pop(partition, None)
            if place is not None:
                self._parked -= place.parked
                self._dead -= place.dead

    def apply(self, change: Change) -> None:
        """Add a change of this worker's own."""
        fresh = {
            partition
            for partition, revision in change.revisions.items()
            if partition in self.places and revision > self.places[partition].revision
        }
        for lane, rows in change.lanes.items():
            if lane.partition in fresh:
                self._add(lane, rows)
        for partition, letters in change.dead.items():
            if partition in fresh:
                self.places[partition].dead += letters
                self._dead += letters
        for partition in fresh:
            place, revision = self.places[partition], change.revisions[partition]
            place.newest = revision
            if revision == place.revision + 1:
                place.revision = revision

    def unsure(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Return those of the counted lanes whose rows others may have changed before our last change."""
        known = ((lane, self.places.get(lane.partition)) for lane in lanes if self._counts(lane.handler))
        return [lane for lane, place in known if place is not None and place.newest > place.revision]

    def correct(self, rows: Mapping[Lane, int]) -> None:
        """Note how many rows these lanes, which are counted, have."""
        for lane, count in rows.items():
            if lane.partition in self.places:
                self._add(lane, count - self.places[lane.partition].lanes.get((lane.handler, lane.key), 0))

    def changed(self, revisions: Mapping[int, int]) -> list[int]:
        """Return the partitions that others changed, given revisions from before our changes that are under way."""
        return [
            number
            for number, place in self.places.items()
            if place.newest > place.revision or revisions.get(number, 0) > place.newest
        ]

    def holds(self, handler: str, key: str) -> int:
        """Return how many pairs of that (handler, key) are parked or held; 0 for a handler that is not counted."""
        return sum(place.lanes.get((handler, key), 0) for place in self.places.values())

    def parked(self) -> int:
        """Return how many pairs are parked or held."""
        return self._parked

    def dead(self) -> int:
        """Return how many dead letters there are."""
        return self._dead

    def _counts(self, handler: str) -> bool:
        return self._strict is None or handler in self._strict

    def _add(self, lane: Lane, rows: int) -> None:
        place = self.places[lane.partition]
        if self._counts(lane.handler):
            lanes, where = place.lanes, (lane.handler, lane.key)
            before = lanes.get(where, 0)
            after = max(0, before + rows)  # of rows that others removed meanwhile
            rows = after - before
            if after:
                lanes[where] = after
            else:
                lanes.pop(where, None)
        rows = max(rows, -place.parked)  # as above
        place.parked += rows
        self._parked += rows
