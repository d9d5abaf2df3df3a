"""The decisions and the bookkeeping of reading Kafka, without a broker."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.errors import DependencyError, PoisonedError
from gateway.keep.envelope import to_record
from gateway.keep.kafka.consumer import ReplaceError
from gateway.keep.kafka.handover import Handover
from gateway.keep.kafka.placing import BeyondEndError, Place, place
from gateway.keep.kafka.progress import Progress
from gateway.keep.kafka.reading import Reading
from gateway.keep.kafka.records import Read, read_record
from gateway.keep.kafka.suspects import Suspects
from gateway.keep.places import partition_number
from gateway.keep.ports import Position, Stored
from tests.worker_rig import make_event

OFFSETS = st.integers(0, 100)


# Where to begin


@given(committed=OFFSETS | st.none(), kept=OFFSETS | st.none(), beginning=OFFSETS, length=OFFSETS)
def test_reading_begins_within_the_log_and_skips_only_what_is_counted(
    committed: int | None, kept: int | None, beginning: int, length: int
) -> None:
    end = beginning + length
    known = kept if committed is None else committed
    if known is not None and known > end:
        with pytest.raises(BeyondEndError):
            place(committed=committed, kept=kept, beginning=beginning, end=end)
        return

    found = place(committed=committed, kept=kept, beginning=beginning, end=end)

    assert beginning <= found.offset <= end
    assert found.gap == (found.offset - known if known is not None else 0)
    assert found.known == ("group" if committed is not None else "store" if kept is not None else "new")


def test_the_group_knows_better_than_the_store() -> None:
    assert place(committed=3, kept=7, beginning=0, end=9) == Place(3, 0, "group")


# Whether reading goes on


def test_a_partition_that_is_behind_and_does_not_move_is_stuck_after_the_patience() -> None:
    progress: Progress[int] = Progress(10.0)

    assert not progress.stuck({1: 5, 2: 5}, 0.0)
    assert not progress.stuck({1: 6, 2: 5}, 9.0)
    assert progress.stuck({1: 7, 2: 5}, 11.0)


def test_a_partition_that_moves_or_is_not_behind_for_a_while_is_not_stuck() -> None:
    progress: Progress[int] = Progress(10.0)

    assert not progress.stuck({1: 5}, 0.0)
    assert not progress.stuck({1: 6}, 9.0)
    assert not progress.stuck({1: 6}, 18.0)
    assert not progress.stuck({}, 19.0)
    assert not progress.stuck({1: 6}, 25.0)


# Which of them cannot be read


def test_the_unreadable_one_is_searched_for_and_then_left_aside_for_a_while() -> None:
    suspects = Suspects()
    assert suspects.sound([1, 2, 3]) == [1, 2, 3]

    assert suspects.failed([1, 2, 3], 0.0) is None
    assert suspects.searching(0.1)
    assert suspects.failed([2], 0.2) == 2

    assert not suspects.searching(0.3)
    assert suspects.sound([1, 2, 3]) == [1, 3]
    assert suspects.due(1.0) is None
    assert suspects.due(31.0) == 2
    assert suspects.due(31.0) is None
    suspects.read(2)
    assert suspects.sound([1, 2, 3]) == [1, 2, 3]


def test_a_search_that_finds_nothing_ends() -> None:
    suspects = Suspects()
    suspects.failed([1, 2], 0.0)

    assert not suspects.searching(60.0)
    assert suspects.sound([1, 2]) == [1, 2]


# Records


class FakeRecord:
    """What aiokafka gives."""

    topic = "t.events.acme"
    partition = 3
    offset = 7
    timestamp = 1_760_000_000_123

    def __init__(self, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
        self.key = b"k"
        self.value = value
        self.headers = headers


def test_a_record_is_read_with_its_place_and_its_time() -> None:
    event = make_event(1)
    _, value, headers = to_record(event)

    read = read_record(FakeRecord(value, list(headers)), {"t.events.acme": "acme"})

    assert read.stored == Stored(Position(partition_number("acme", 3), 7), event)
    assert read.at_us == event.received_us
    assert read.size > len(value)


@pytest.mark.parametrize("headers", [[], [("ce_envelope", None)], [("ce_envelope", b"1"), ("ce_id", None)]])
def test_a_record_of_another_make_is_read_with_its_error(headers: list[tuple[str, bytes | None]]) -> None:
    read = read_record(FakeRecord(b"x", headers), {"t.events.acme": "acme"})

    assert read.stored.event is None
    assert read.stored.error
    assert read.at_us == FakeRecord.timestamp * 1000


# The handover


def read_at(partition: int, offset: int, size: int = 10, at_us: int = 0) -> Read:
    return Read(Stored(Position(partition, offset), None, "e"), size, at_us)


def handover(
    *, most_events: int = 1000, most_bytes: int = 2**20, arrived: Callable[[], None] = lambda: None
) -> Handover:
    return Handover(most_events=most_events, most_bytes=most_bytes, arrived=arrived)


class HandoverBookkeeping(RuleBasedStateMachine):
    """Against a plain model: what was put is taken once, in order, of open partitions only."""

    def __init__(self) -> None:
        super().__init__()
        self.real = handover()
        self.next: dict[int, int] = {}
        self.waiting: list[Position] = []
        self.stopped: set[int] = set()
        self.handed: dict[int, int] = {}
        self.committed: dict[int, int] = {}

    @rule(partition=st.sampled_from((1, 2)), start=st.integers(0, 5), written=st.booleans())
    def open(self, partition: int, start: int, written: bool) -> None:  # noqa: FBT001 - drawn
        if partition in self.next:
            return
        self.real.open(partition, start, written=written)
        self.next[partition] = start
        self.handed[partition] = self.committed[partition] = start - 1

    @rule(partition=st.sampled_from((1, 2)), count=st.integers(1, 4))
    def put(self, partition: int, count: int) -> None:
        start = self.next.get(partition, 0)
        self.real.put([read_at(partition, start + number) for number in range(count)])
        if partition in self.next and partition not in self.stopped:
            self.waiting += [Position(partition, start + number) for number in range(count)]
            self.next[partition] += count

    @rule(most=st.integers(1, 5))
    def take(self, most: int) -> None:
        found = [stored.position for stored in self.real.take(most, 2**20)]
        assert found == self.waiting[:most]
        del self.waiting[:most]
        self.handed.update(found)

    @rule(partition=st.sampled_from((1, 2)), offset=st.integers(-1, 12))
    def note(self, partition: int, offset: int) -> None:
        self.real.note({partition: offset})
        if partition in self.next and self.committed[partition] < offset <= self.handed[partition]:
            self.committed[partition] = offset

    @rule(partition=st.sampled_from((1, 2)))
    def stop(self, partition: int) -> None:
        self.real.stop([partition])
        if partition in self.next:
            self.stopped.add(partition)
        self.waiting = [position for position in self.waiting if position.partition != partition]

    @rule(partition=st.sampled_from((1, 2)))
    def shut(self, partition: int) -> None:
        self.real.shut([partition])
        self.waiting = [position for position in self.waiting if position.partition != partition]
        self.stopped.discard(partition)
        for known in (self.next, self.handed, self.committed):
            known.pop(partition, None)

    @rule()
    def write(self) -> None:
        positions = self.real.unwritten()
        self.real.wrote(positions)
        assert positions.items() <= self.committed.items()
        assert self.real.unwritten() == {}

    @invariant()
    def positions_agree(self) -> None:
        staying = {number: offset for number, offset in self.committed.items() if number not in self.stopped}
        assert self.real.committed() == staying
        assert {number: one.committed for number, one in self.real._open.items()} == self.committed

    @invariant()
    def sizes_agree(self) -> None:
        assert len(self.real._records) == len(self.waiting)
        assert self.real._bytes == 10 * len(self.waiting)


TestHandoverBookkeeping = HandoverBookkeeping.TestCase
TestHandoverBookkeeping.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_start_that_the_group_does_not_know_is_written_even_if_nothing_is_finished() -> None:
    made = handover()
    made.open(1, 5, written=False)
    made.open(2, 5, written=True)

    assert made.unwritten() == {1: 4}


def test_the_buffer_is_full_by_events_or_bytes_and_has_room_when_half_is_taken() -> None:
    made, told = handover(most_events=4, most_bytes=100), []
    made.open(1, 0, written=True)
    made.put([read_at(1, 0, size=60), read_at(1, 1, size=50)])
    assert made.full()
    made.when_room(lambda: told.append("room"))
    assert not told
    made.take(1, 1000)
    assert told == ["room"]

    made.put([read_at(1, number, size=1) for number in range(2, 5)])
    assert made.full()
    made.when_room(lambda: told.append("again"))
    made.stop([1])
    assert told == ["room", "again"]


def test_the_backlog_counts_what_the_log_has_and_what_was_read_but_not_finished() -> None:
    made = handover()
    made.open(1, 10, written=True)
    made.open(2, 0, written=True)
    made.put([read_at(1, 10, at_us=1_000_000), read_at(1, 11, at_us=3_000_000)])
    assert made.backlog(5_000_000).events == 2
    made.survey({1: 15, 2: 1, 3: 99}, 4_000_000)

    assert (made.backlog(5_000_000).events, made.backlog(5_000_000).oldest_seconds) == (6, 4.0)
    made.take(5, 1000)
    made.note({1: 10})
    assert (made.backlog(5_000_000).events, made.backlog(5_000_000).oldest_seconds) == (5, 2.0)
    made.note({1: 11})
    assert made.backlog(5_000_000).oldest_seconds == 1.0  # since when the rest is known to be there
    made.shut([1, 2])
    made.count_gap(7)
    assert made.backlog(5_000_000).events == 0
    assert made.backlog(5_000_000).gap_events == 7


# One consumer after the other


class FakeMember:
    """A member that lives and ends as it is told."""

    def __init__(self, end: Exception | None, *, has_read: bool = False) -> None:
        self.has_read = has_read
        self._end = end

    async def run(self, closing: asyncio.Event) -> None:
        if self._end is not None:
            raise self._end
        await closing.wait()


class Lives:
    """A reading of these members, and how it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *members: FakeMember) -> None:
        monkeypatch.setattr("gateway.keep.kafka.reading._AGAIN_SECONDS", 0.0)
        self.left = list(members)
        self.failures: list[Exception] = []
        self.ended = threading.Event()
        self.last = threading.Event()
        self.reading = Reading(self._make, replacements=2, failed=self.failures.append, ended=self.ended.set)
        self.reading.start()

    def _make(self) -> Any:
        member = self.left.pop(0)
        if not self.left:
            self.last.set()
        return member


STUCK = ReplaceError("it stands still")


def test_consumers_that_stand_still_in_a_row_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = Lives(monkeypatch, *[FakeMember(STUCK) for _ in range(3)], FakeMember(None))

    assert lives.ended.wait(30)
    assert [type(failure) for failure in lives.failures] == [PoisonedError]
    assert len(lives.left) == 1


def test_a_consumer_that_read_something_ends_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [FakeMember(STUCK), FakeMember(STUCK), FakeMember(STUCK, has_read=True), FakeMember(STUCK)]
    lives = Lives(monkeypatch, *members, FakeMember(None))

    assert lives.last.wait(30)
    lives.reading.close()
    assert lives.ended.wait(30)
    assert lives.failures == []


def test_a_cluster_that_is_away_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [
        FakeMember(error) for error in (TimeoutError(), OSError(), ReplaceError("moved", stuck=False)) for _ in "abc"
    ]
    lives = Lives(monkeypatch, *away, FakeMember(None))

    assert lives.last.wait(30)
    lives.reading.close()
    assert lives.ended.wait(30)
    assert lives.failures == []


def test_what_another_consumer_cannot_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = Lives(monkeypatch, FakeMember(DependencyError("beyond the end")), FakeMember(None))

    assert lives.ended.wait(30)
    assert [str(failure) for failure in lives.failures] == ["beyond the end"]
