"""Lanes and window as a state machine against a plain model."""

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.handle.lanes import Entry, LaneKey, Lanes, Slot, Window
from gateway.keep.ports import Position

HANDLERS = ("a", "b", "c")
Item = tuple[Position | None, LaneKey, int]


class LaneBookkeeping(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.window = Window()
        self.lanes: Lanes[Item] = Lanes()
        self.next_offset = {0: 0, 1: 0}
        self.unfinished: dict[Slot, int] = {}
        self.lost: dict[Slot, int] = {}
        self.offered: dict[LaneKey, list[int]] = defaultdict(list)
        self.begun: dict[LaneKey, list[int]] = defaultdict(list)
        self.running: list[Entry[Item]] = []
        self.resting: list[Entry[Item]] = []
        self.committed = {0: -1, 1: -1}
        self.finished = 0
        self.dropped = 0
        self.count = 0

    @rule(
        partition=st.sampled_from((0, 1)),
        step=st.integers(1, 3),
        pairs=st.lists(st.tuples(st.sampled_from(HANDLERS), st.sampled_from("xy")), max_size=3, unique=True),
    )
    def offer(self, partition: int, step: int, pairs: list[tuple[str, str]]) -> None:
        self.next_offset[partition] += step
        position = Position(partition, self.next_offset[partition])
        slot = self.window.offer(position, 10, len(pairs))
        self.unfinished[slot] = len(pairs)
        for handler, key in pairs:
            self.add(LaneKey(handler, key), position, slot)

    @rule(handler=st.sampled_from(HANDLERS), key=st.sampled_from("xy"))
    def join_from_parking(self, handler: str, key: str) -> None:
        self.add(LaneKey(handler, key), None, None)

    def add(self, lane: LaneKey, position: Position | None, slot) -> None:
        self.count += 1
        self.offered[lane].append(self.count)
        self.lanes.add(lane, slot, (position, lane, self.count))

    @rule(handler=st.sampled_from(HANDLERS))
    def start(self, handler: str) -> None:
        could = self.lanes.can_start(handler)
        entry = self.lanes.start(handler)

        assert could == (entry is not None)
        if entry is not None:
            assert all(other.lane != entry.lane for other in self.running + self.resting if other is not entry)
            if entry in self.resting:
                self.resting.remove(entry)
            else:
                self.begun[entry.lane].append(entry.item[2])
            self.running.append(entry)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data) -> None:
        entry = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.lanes.finish(entry)
        self.finished += 1
        if entry.slot is not None:
            left = self.lost if entry.slot in self.lost else self.unfinished
            left[entry.slot] -= 1
            assert self.window.finish(entry.slot) == (left[entry.slot] == 0)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def run_again(self, data) -> None:
        entry = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        self.lanes.again(entry)
        self.resting.append(entry)

    @rule(partition=st.sampled_from((0, 1)))
    def lose(self, partition: int) -> None:
        """The partition goes, and may come again at once, from any offset on."""
        gone = self.lanes.drop(lambda item: item[0] is not None and item[0].partition == partition)
        self.window.drop([partition])
        for entry in gone:
            assert not entry.started
            self.offered[entry.lane].remove(entry.item[2])
            if entry in self.resting:
                self.resting.remove(entry)
                self.begun[entry.lane].remove(entry.item[2])
        self.dropped += len(gone)
        leaving = [slot for slot in self.unfinished if slot.position.partition == partition]
        self.lost.update({slot: self.unfinished.pop(slot) for slot in leaving})
        self.next_offset[partition], self.committed[partition] = 0, -1

    @rule()
    def commit(self) -> None:
        for partition, offset in self.window.take_commits().items():
            assert offset > self.committed[partition]
            self.committed[partition] = offset

    @invariant()
    def nothing_unfinished_is_committed(self) -> None:
        for slot, left in self.unfinished.items():
            assert left == 0 or slot.position.offset > self.committed[slot.position.partition]

    @invariant()
    def each_lane_begins_in_the_order_offered(self) -> None:
        for lane, begun in self.begun.items():
            assert begun == self.offered[lane][: len(begun)]

    @invariant()
    def no_one_waits_of_a_partition_that_went(self) -> None:
        queued = [entry for queue in self.lanes._lanes.values() for entry in queue]
        waiting = [entry for entry in queued if entry.slot in self.lost and not entry.started]
        assert all(entry in self.resting for entry in waiting)  # one that ran on may be tried again
        assert self.window.events == sum(len(slots) for slots in self.window._partitions.values())

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.lanes.waiting + self.lanes.started + self.finished + self.dropped == self.count
        assert self.lanes.started == len(self.running)

    def teardown(self) -> None:
        """Whatever happened, all can be started and finished, and everything is committed then."""
        for handler in HANDLERS * (self.count + 1):
            while self.lanes.can_start(handler):
                entry = self.lanes.start(handler)
                assert entry is not None
                self.running.append(entry)
            while self.running:
                entry = self.running.pop()
                self.lanes.finish(entry)
                if entry.slot is not None:
                    self.window.finish(entry.slot)
        self.commit()
        newest = {partition: offset for partition, offset in self.next_offset.items() if offset}
        assert {p: o for p, o in self.committed.items() if o >= 0} == newest
        assert (self.window.events, self.window.bytes) == (0, 0)


TestLaneBookkeeping = LaneBookkeeping.TestCase
TestLaneBookkeeping.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_offsets_that_do_not_grow_are_refused() -> None:
    window = Window()
    window.offer(Position(0, 5), 1, 1)

    with pytest.raises(ValueError, match="grow"):
        window.offer(Position(0, 5), 1, 1)


def test_an_entry_that_is_not_started_cannot_be_finished() -> None:
    lanes: Lanes[int] = Lanes()
    entry = lanes.add(LaneKey("a", "x"), None, 1)

    with pytest.raises(ValueError, match="not started"):
        lanes.finish(entry)


def test_an_event_cannot_be_finished_more_often_than_it_has_pairs() -> None:
    window = Window()
    slot = window.offer(Position(0, 1), 1, 1)
    window.finish(slot)

    with pytest.raises(ValueError, match="no pair left"):
        window.finish(slot)
