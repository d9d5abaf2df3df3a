"""The window and the lanes: which pairs may start, and how far the log may be committed. Pure: no clock, no I/O.

Invariants: a lane, (handler, key), has at most one pair started, and starts its pairs in the order they were offered. A
partition's commit point moves only over an unbroken run of finished events. Nothing that was offered is forgotten, but
for what is dropped with its partition.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, NamedTuple, TypeVar

from gateway.keep.ports import Position

T = TypeVar("T")


class LaneKey(NamedTuple):
    """What runs one at a time, in order."""

    handler: str
    key: str


class Slot:
    """One event's place in the window; `left` counts its pairs without a durable outcome."""

    __slots__ = ("dropped", "left", "position", "size")

    def __init__(self, position: Position, size: int, left: int) -> None:
        self.position = position
        self.size = size
        self.left = left
        self.dropped = False


class Window:
    """The events read and not yet committable: bounded by who offers, counted here."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self._partitions: dict[int, deque[Slot]] = {}
        self._newest: dict[int, int] = {}
        self._passed: dict[int, int] = {}

    def offer(self, position: Position, size: int, pairs: int) -> Slot:
        """Add an event with that many pairs to finish; its offset is beyond all earlier ones of its partition."""
        if position.offset <= self._newest.get(position.partition, -1):
            raise ValueError("offsets must grow within a partition")
        self._newest[position.partition] = position.offset
        slot = Slot(position, size, pairs)
        self._partitions.setdefault(position.partition, deque()).append(slot)
        self.events += 1
        self.bytes += size
        if not pairs:
            self._advance(position.partition)
        return slot

    def finish(self, slot: Slot) -> bool:
        """Note a durable outcome of one of the event's pairs; return whether it was the last one."""
        if slot.left <= 0:
            raise ValueError("this event has no pair left to finish")
        slot.left -= 1
        if slot.left:
            return False
        if not slot.dropped:
            self._advance(slot.position.partition)
        return True

    def drop(self, partitions: Collection[int]) -> None:
        """Forget the events of these partitions: their offsets may begin anew, and what still runs moves nothing."""
        for partition in partitions:
            for slot in self._partitions.pop(partition, ()):
                slot.dropped = True
                self.events -= 1
                self.bytes -= slot.size
            self._newest.pop(partition, None)
            self._passed.pop(partition, None)

    def take_commits(self) -> dict[int, int]:
        """Return the offsets up to which everything is finished, for the partitions that moved since the last call."""
        passed, self._passed = self._passed, {}
        return passed

    def _advance(self, partition: int) -> None:
        slots = self._partitions[partition]
        while slots and not slots[0].left:
            slot = slots.popleft()
            self.events -= 1
            self.bytes -= slot.size
            self._passed[partition] = slot.position.offset


class Entry(Generic[T]):
    """One pair in its lane; `item` is whatever the caller keeps of it."""

    __slots__ = ("item", "lane", "slot", "started")

    def __init__(self, lane: LaneKey, slot: Slot | None, item: T) -> None:
        self.lane = lane
        self.slot = slot
        self.item = item
        self.started = False


class Lanes(Generic[T]):
    """First in, first out per lane; the heads that may start are kept per handler, so that a full one delays no other.

    The items are the caller's: the state machine looks at nothing in them, so tests drive it with plain numbers.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.started = 0
        self._lanes: dict[LaneKey, deque[Entry[T]]] = {}
        self._ready: dict[str, deque[Entry[T]]] = {}

    def add(self, lane: LaneKey, slot: Slot | None, item: T) -> Entry[T]:
        """Put an item at its lane's end; `slot` is its event's place in a window, None for one that is in none."""
        entry = Entry(lane, slot, item)
        queue = self._lanes.get(lane)
        if queue is None:
            self._lanes[lane] = deque((entry,))
            self._make_ready(entry)
        else:
            queue.append(entry)
        self.waiting += 1
        return entry

    def can_start(self, handler: str) -> bool:
        """Return whether the handler has something that may start."""
        return bool(self._ready.get(handler))

    def start(self, handler: str) -> Entry[T] | None:
        """Start and return the handler's next head, or None if it has none that may start."""
        entries = self._ready.get(handler)
        if not entries:
            return None
        entry = entries.popleft()
        entry.started = True
        self.waiting -= 1
        self.started += 1
        return entry

    def again(self, entry: Entry[T]) -> None:
        """Let a started entry start once more, before all others of its handler; its lane stays behind it."""
        self._unstart(entry)
        self.waiting += 1
        self._ready[entry.lane.handler].appendleft(entry)

    def finish(self, entry: Entry[T]) -> None:
        """Remove a started entry; the next of its lane may start."""
        self._unstart(entry)
        queue = self._lanes[entry.lane]
        queue.popleft()
        if queue:
            self._make_ready(queue[0])
        else:
            del self._lanes[entry.lane]

    def drop(self, fits: Callable[[T], bool]) -> list[Entry[T]]:
        """Remove and return the entries that are not started and whose item fits; what runs stays."""
        dropped: list[Entry[T]] = []
        for lane, queue in list(self._lanes.items()):
            gone = [entry for entry in queue if not entry.started and fits(entry.item)]
            if not gone:
                continue
            head, leaving = queue[0], set(map(id, gone))
            left = deque(entry for entry in queue if id(entry) not in leaving)
            self._replace(lane, head, left)
            dropped += gone
        self.waiting -= len(dropped)
        return dropped

    def _replace(self, lane: LaneKey, head: Entry[T], left: "deque[Entry[T]]") -> None:
        if left:
            self._lanes[lane] = left
        else:
            del self._lanes[lane]
        if head.started or (left and left[0] is head):
            return
        self._ready[lane.handler].remove(head)
        if left:
            self._make_ready(left[0])

    def _make_ready(self, entry: Entry[T]) -> None:
        self._ready.setdefault(entry.lane.handler, deque()).append(entry)

    def _unstart(self, entry: Entry[T]) -> None:
        if not entry.started:
            raise ValueError("this entry is not started")
        entry.started = False
        self.started -= 1
