"""What every Parking promises; each engine is one factory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from gateway.keep.ports import Blame, DeadFilter, Filter, MarkKey, Pair, Parking, Store
from tests.postgres_state_builders import worker_in
from tests.state_builders import FakeClock, in_memory, make_event, make_pair, opened

ALL = DeadFilter()


class State(Protocol):
    """What a router keeps, as far as parking has to do with it."""

    @property
    def parking(self) -> Parking: ...

    @property
    def store(self) -> Store: ...

    @property
    def blame(self) -> Blame: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "memory", "postgres"])
async def state(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[State]:
    if request.param == "postgres":
        async with worker_in(request.getfixturevalue("migrated_database"), now_us=clock.now_us) as worker:
            yield worker
        return
    file = opened(tmp_path / "state" / "billing.db", now_us=clock.now_us)
    async with file if request.param == "sqlite" else in_memory(clock.now_us) as state:
        yield state


def key_of(pair: Pair) -> MarkKey:
    return MarkKey(pair.handler, pair.event.dedupe_key, pair.replay)


async def bury(state: State, pair: Pair, **over: str) -> None:
    words = {"reason": "attempts", "error": "ValueError", "trace": "Traceback", **over}
    await state.parking.bury(pair, **words)  # type: ignore[arg-type]


async def due_offsets(state: State, now_us: int = 0, limit: int = 10) -> list[int]:
    parking: Parking = state.parking
    return [pair.position.offset for pair in await parking.due(now_us, limit)]


async def test_parked_pair_comes_whole_when_its_time_has_come(state: State) -> None:
    event = make_event(body=b'\x00\xff{"not": utf-8}', key="cus_\u00e9")
    pair = make_pair(event=event, attempt=3, replay="rp", replay_id="rp", new_keys=True, first_failed_us=7)
    await state.parking.park(pair, due_us=1000, error="ValueError: no")

    early, now = await state.parking.due(999, 10), await state.parking.due(1000, 10)

    assert list(early) == []
    assert [given.event for given in now] == [event]
    given = now[0]
    assert given.parked_id is not None
    assert given == Pair(
        handler="record",
        event=event,
        position=pair.position,
        attempt=3,
        replay="rp",
        replay_id="rp",
        new_keys=True,
        parked_id=given.parked_id,
        first_failed_us=7,
        error="ValueError: no",
    )


async def test_due_pair_is_handed_out_once_until_it_is_parked_again(state: State) -> None:
    await state.parking.park(make_pair(), due_us=0, error="")
    [pair] = await state.parking.due(0, 10)
    again = await due_offsets(state)

    await state.parking.park(pair, due_us=5, error="")

    assert again == []
    assert await due_offsets(state, 4) == []
    assert await due_offsets(state, 5) == [1]
    assert state.parking.parked() == 1


async def test_due_pairs_come_in_order_of_time_up_to_the_limit(state: State) -> None:
    for offset, due_us in ((1, 30), (2, 10), (3, 20)):
        await state.parking.park(make_pair(offset=offset), due_us=due_us, error="")

    assert await due_offsets(state, 100, limit=2) == [2, 3]
    assert await due_offsets(state, 100, limit=2) == [1]


async def test_pair_whose_write_is_not_yet_durable_is_not_handed_out(state: State) -> None:
    turn = await state.store.begin(MarkKey("record", b"x" * 16), version=None, attempt=1, limit=30.0)
    parked = state.parking.park(make_pair(), due_us=0, error="")
    asked = asyncio.ensure_future(state.parking.due(0, 10))
    await asyncio.sleep(0)

    await turn.rollback()
    await parked

    assert list(await asked) == []
    assert await due_offsets(state) == [1]


async def test_settled_pair_is_gone(state: State) -> None:
    pair = make_pair()
    await state.parking.park(pair, due_us=0, error="")

    await state.parking.settle(pair)

    assert await due_offsets(state) == []
    assert state.parking.parked() == 0
    assert state.parking.holds("record", "cus_1") == 0


async def test_settling_a_pair_that_was_never_parked_does_nothing(state: State) -> None:
    await state.parking.settle(make_pair())

    assert (state.parking.parked(), state.parking.dead()) == (0, 0)


async def test_holds_counts_what_is_under_way_and_what_is_durable(state: State) -> None:
    future = state.parking.park(make_pair(), due_us=9, error="")
    before = state.parking.holds("record", "cus_1")
    await future

    assert (before, state.parking.holds("record", "cus_1")) == (1, 1)
    assert state.parking.holds("record", "cus_2") == 0
    assert state.parking.holds("other", "cus_1") == 0


async def test_held_pairs_come_one_after_another_in_order_of_position(state: State) -> None:
    await state.parking.park(make_pair(offset=1), due_us=0, error="")
    for offset in (4, 2, 3):
        await state.parking.hold(make_pair(offset=offset))
    order = []

    while pairs := await state.parking.due(10**18, 10):
        assert len(pairs) == 1
        order.append(pairs[0].position.offset)
        await state.parking.settle(pairs[0])

    assert order == [1, 2, 3, 4]
    assert state.parking.parked() == 0


async def test_parking_the_head_again_keeps_the_held_behind_it(state: State) -> None:
    await state.parking.park(make_pair(offset=1), due_us=0, error="")
    await state.parking.hold(make_pair(offset=2))
    [head] = await state.parking.due(0, 10)

    await state.parking.park(head, due_us=50, error="")

    assert await due_offsets(state, 49) == []
    assert await due_offsets(state, 50) == [1]


async def test_held_pair_waits_for_a_parked_one_whatever_their_positions(state: State) -> None:
    await state.parking.park(make_pair(offset=5), due_us=10**18, error="")
    await state.parking.hold(make_pair(offset=2))

    assert await due_offsets(state) == []


async def test_pair_that_another_run_parks_is_handed_out_again(state: State) -> None:
    pair = make_pair()
    await state.parking.park(pair, due_us=0, error="")
    first = await due_offsets(state)

    await state.parking.park(pair, due_us=0, error="")

    assert (first, await due_offsets(state)) == ([1], [1])


async def test_held_pair_goes_on_when_the_one_before_it_dies(state: State) -> None:
    head = make_pair(offset=1)
    await state.parking.park(head, due_us=10**18, error="")
    await state.parking.hold(make_pair(offset=2))

    await bury(state, head)

    assert await due_offsets(state) == [2]


async def test_pair_held_just_as_the_last_one_of_its_key_is_settled_is_due(state: State) -> None:
    head = make_pair(offset=1)
    await state.parking.park(head, due_us=0, error="")

    settled = state.parking.settle(head)
    held = state.parking.hold(make_pair(offset=2))
    await asyncio.gather(settled, held)

    assert await due_offsets(state) == [2]


async def test_holding_the_only_due_pair_again_lets_the_first_of_its_key_go(state: State) -> None:
    await state.parking.park(make_pair(offset=1), due_us=0, error="")
    await state.parking.hold(make_pair(offset=2))
    [head] = await state.parking.due(0, 10)

    await state.parking.hold(head)

    assert await due_offsets(state) == [1]


async def test_other_keys_are_not_held_up(state: State) -> None:
    await state.parking.park(make_pair(offset=1), due_us=10**18, error="")
    await state.parking.hold(make_pair(offset=2, event=make_event(key="cus_2")))

    assert await due_offsets(state) == [2]


async def test_buried_pair_is_a_dead_letter_with_its_whole_story(state: State, clock: FakeClock) -> None:
    pair = make_pair(attempt=8, first_failed_us=5)
    await state.parking.park(pair, due_us=0, error="")

    await bury(state, pair, reason="gave_up", error="GiveUp: no such customer", trace="line 1")

    [letter] = await state.parking.dead_letters(ALL, limit=10)
    assert (letter.router, letter.reason, letter.error, letter.trace, letter.attempts, letter.died_us) == (
        "billing",
        "gave_up",
        "GiveUp: no such customer",
        "line 1",
        8,
        clock.us,
    )
    assert letter.pair.event == pair.event
    assert (state.parking.parked(), state.parking.dead(), await due_offsets(state)) == (0, 1, [])


async def test_pair_that_dies_again_is_one_dead_letter(state: State) -> None:
    pair = make_pair()
    await bury(state, pair)

    await bury(state, pair, error="again")

    letters = await state.parking.dead_letters(ALL, limit=10)
    assert [letter.error for letter in letters] == ["again"]
    assert state.parking.dead() == 1


async def test_pair_that_dies_again_is_the_last_of_the_dead_letters(state: State) -> None:
    pair = make_pair(offset=1)
    for dying in (pair, make_pair(offset=2), pair):
        await bury(state, dying)

    letters = await state.parking.dead_letters(ALL, limit=10)

    assert [letter.pair.position.offset for letter in letters] == [2, 1]


async def test_error_and_trace_are_cut_the_trace_at_its_end(state: State) -> None:
    await bury(state, make_pair(), error="\u00e9" * 5000, trace="x" * 50_000 + "the end")

    [letter] = await state.parking.dead_letters(ALL, limit=10)
    assert len(letter.error.encode()) <= 2048
    assert len(letter.trace.encode()) <= 16384
    assert letter.trace.endswith("the end")


async def test_text_that_utf8_cannot_hold_does_not_lose_the_pair(state: State) -> None:
    await bury(state, make_pair(), error="bad \ud800", trace="worse \udfff")

    assert state.parking.dead() == 1


@pytest.mark.parametrize(
    "where, found",
    [
        (DeadFilter(handler="record"), [1, 2]),
        (DeadFilter(reason="gave_up"), [2]),
        (DeadFilter(events=Filter(source="github")), [3]),
        (DeadFilter(events=Filter(key="cus_2")), [2]),
        (DeadFilter(events=Filter(type="nothing")), []),
        (DeadFilter(events=Filter(since_us=1_700_000_001_000_000)), [2, 3]),
        (DeadFilter(events=Filter(until_us=1_700_000_001_000_000)), [1]),
        (DeadFilter(handler="record", reason="attempts"), [1]),
    ],
    ids=["handler", "reason", "source", "key", "type", "since", "until", "both"],
)
async def test_filter_chooses_dead_letters(state: State, clock: FakeClock, where: DeadFilter, found: list[int]) -> None:
    await bury(state, make_pair(offset=1))
    clock.pass_seconds(1)
    await bury(state, make_pair(offset=2, event=make_event(key="cus_2")), reason="gave_up")
    await bury(state, make_pair(offset=3, handler="other", event=make_event(source="github")))

    letters = await state.parking.dead_letters(where, limit=10)

    assert [letter.pair.position.offset for letter in letters] == found


async def test_dead_letters_can_be_paged_and_chosen_by_id(state: State) -> None:
    for offset in range(1, 6):
        await bury(state, make_pair(offset=offset))
    first = await state.parking.dead_letters(ALL, limit=2)

    rest = await state.parking.dead_letters(ALL, limit=10, after_id=first[-1].id)
    chosen = await state.parking.dead_letters(DeadFilter(ids=(first[0].id, rest[-1].id)), limit=10)

    assert [letter.pair.position.offset for letter in (*first, *rest)] == [1, 2, 3, 4, 5]
    assert [letter.pair.position.offset for letter in chosen] == [1, 5]


async def test_retried_dead_letter_is_due_at_once_as_if_never_run(state: State) -> None:
    pair = make_pair(attempt=8, first_failed_us=5)
    await bury(state, pair)
    await state.store.mark(key_of(pair), "dead", version=None, attempt=8)
    await state.blame.crashed(key_of(pair))

    count = await state.parking.retry_dead(ALL)

    [given] = await state.parking.due(0, 10)
    assert (count, given.attempt, given.first_failed_us, given.event) == (1, 0, None, pair.event)
    assert await state.store.marked([key_of(pair)]) == {}
    assert state.blame.crashes(key_of(pair)) == 0
    assert (state.parking.parked(), state.parking.dead()) == (1, 0)
    assert state.parking.holds("record", "cus_1") == 1


async def test_many_dead_letters_are_retried_or_purged_all(state: State) -> None:
    await asyncio.gather(*(bury(state, make_pair(offset=offset)) for offset in range(250)))

    retried = await state.parking.retry_dead(DeadFilter(events=Filter(source="stripe")))
    await asyncio.gather(*(bury(state, make_pair(handler="other", offset=offset)) for offset in range(150)))
    purged = await state.parking.purge_dead(DeadFilter(handler="other"))

    assert (retried, purged) == (250, 150)
    assert (state.parking.parked(), state.parking.dead()) == (250, 0)


async def test_taken_names_what_is_parked_held_or_dead(state: State) -> None:
    pairs = [make_pair(offset=offset) for offset in range(1, 5)]
    await state.parking.park(pairs[0], due_us=10**18, error="")
    await state.parking.hold(pairs[1])
    await bury(state, pairs[2])

    taken = await state.parking.taken([key_of(pair) for pair in pairs])

    assert set(taken) == {key_of(pair) for pair in pairs[:3]}


async def test_success_of_a_dead_pair_removes_its_dead_letter(state: State) -> None:
    pair = make_pair()
    await bury(state, pair)

    await state.parking.settle(pair)

    assert state.parking.dead() == 0
    assert list(await state.parking.dead_letters(ALL, limit=10)) == []


async def test_same_event_for_two_handlers_is_two_pairs(state: State) -> None:
    event = make_event()
    await state.parking.park(make_pair(event=event), due_us=0, error="")
    await state.parking.park(make_pair(event=event, handler="other"), due_us=0, error="")

    await state.parking.settle(make_pair(event=event))

    assert [pair.handler for pair in await state.parking.due(0, 10)] == ["other"]
