"""What every state of a router promises of what outlives its worker; each engine is one factory."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from gateway.keep.ports import Blame, DeadFilter, Filter, Parking, Pausing, Replay, Replays, Store
from tests.postgres_state_builders import worker_in
from tests.state_builders import make_key, make_pair, opened


class State(Protocol):
    """What a router keeps."""

    @property
    def store(self) -> Store: ...

    @property
    def parking(self) -> Parking: ...

    @property
    def replays(self) -> Replays: ...

    @property
    def pausing(self) -> Pausing: ...

    @property
    def blame(self) -> Blame: ...


Life = Callable[[], AbstractAsyncContextManager[State]]


@pytest.fixture(params=["sqlite", "postgres"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    """One life of the router's one worker after the other, each ending in order but without a clean exit."""
    if request.param == "sqlite":
        return lambda: opened(tmp_path / "state" / "billing.db")
    database = request.getfixturevalue("migrated_database")
    return lambda: worker_in(database)


def make_replay(**over: object) -> Replay:
    values = {"id": "rp_1", "handler": "record", "where": Filter(source="stripe"), "mode": "missing", **over}
    return Replay(**{"new_keys": False, "rate": 5.0, "upto": {0: 90}, "at": {0: 10}, **values})  # type: ignore[arg-type]


async def test_marks_parked_pairs_and_dead_letters_outlive_the_process(life: Life) -> None:
    parked, dead = make_pair(offset=1), make_pair(offset=2)
    async with life() as state:
        await state.store.mark(make_key(), "done", version=None, attempt=1)
        await state.parking.park(parked, due_us=0, error="")
        await state.parking.due(0, 10)
        await state.parking.bury(dead, reason="gave_up", error="", trace="")

    async with life() as state:
        assert set(await state.store.marked([make_key()])) == {make_key()}
        assert [pair.position.offset for pair in await state.parking.due(0, 10)] == [1]
        assert (state.parking.parked(), state.parking.dead()) == (1, 1)
        assert state.parking.holds("record", "cus_1") == 1


async def test_end_without_clean_exit_is_unclean(life: Life) -> None:
    async with life() as state:
        first = state.blame.unclean()
    async with life() as state:
        second = state.blame.unclean()
        await state.blame.clean_exit()
    async with life() as state:
        third = state.blame.unclean()

    assert (first, second, third) == (False, True, False)


async def test_note_of_a_dead_worker_counts_as_a_crash(life: Life) -> None:
    for _ in range(2):
        async with life() as state:
            await state.blame.started_alone(make_key())
            await state.blame.started_alone(make_key("fine"))
            state.blame.finished_alone(make_key("fine"))

    async with life() as state:
        assert (state.blame.crashes(make_key()), state.blame.crashes(make_key("fine"))) == (2, 0)
        assert await state.blame.crashed(make_key()) == 3
    async with life() as state:
        assert state.blame.crashes(make_key()) == 3


async def test_crash_told_of_replaces_the_note(life: Life) -> None:
    async with life() as state:
        await state.blame.started_alone(make_key())
        await state.blame.crashed(make_key())

    async with life() as state:
        assert state.blame.crashes(make_key()) == 1


async def test_crashes_of_a_marked_pair_are_forgotten(life: Life) -> None:
    async with life() as state:
        await state.blame.crashed(make_key())
        await state.store.mark(make_key(), "done", version=None, attempt=2)

    async with life() as state:
        assert state.blame.crashes(make_key()) == 0


async def test_pause_outlives_the_process(life: Life) -> None:
    async with life() as state:
        before = state.pausing.paused()
        await state.pausing.set_paused("operator")

    async with life() as state:
        after = state.pausing.paused()
        await state.pausing.set_paused("")
    async with life() as state:
        assert (before, after, state.pausing.paused()) == ("", "operator", "")


async def test_mark_of_a_handler_whose_first_turn_was_undone_outlives_the_process(life: Life) -> None:
    async with life() as state:
        turn = await state.store.begin(make_key("a", handler="new"), version=None, attempt=1, limit=1.0)
        await turn.rollback()
        await state.store.mark(make_key("b", handler="new"), "done", version=None, attempt=1)

    async with life() as state:
        assert set(await state.store.marked([make_key("b", handler="new")])) == {make_key("b", handler="new")}


async def test_replay_resumes_where_it_durably_stood(life: Life) -> None:
    async with life() as state:
        await state.replays.save(make_replay())
        await state.replays.save(make_replay(at={0: 42}, handed=3))
        await state.replays.save(make_replay(id="rp_2", state="done"))

    async with life() as state:
        assert list(state.replays.running()) == [make_replay(at={0: 42}, handed=3)]
        assert list(await state.replays.adopt()) == [make_replay(at={0: 42}, handed=3)]


@pytest.mark.parametrize("end", ["done", "cancelled"])
async def test_replay_that_is_over_runs_no_more(life: Life, end: str) -> None:
    async with life() as state:
        await state.replays.save(make_replay())
        await state.replays.save(make_replay(state=end))
        assert list(await state.replays.adopt()) == []

    async with life() as state:
        assert list(state.replays.running()) == []


async def test_replays_run_in_order_of_their_ids(life: Life) -> None:
    async with life() as state:
        for name in ("rp_2", "rp_1"):
            await state.replays.save(make_replay(id=name))

    async with life() as state:
        assert [replay.id for replay in state.replays.running()] == ["rp_1", "rp_2"]


async def test_clean_exit_of_a_worker_that_ran_alone_is_clean(life: Life) -> None:
    async with life() as state:
        await state.blame.started_alone(make_key())
        state.blame.finished_alone(make_key())
        await state.blame.clean_exit()

    async with life() as state:
        assert (state.blame.unclean(), state.blame.crashes(make_key())) == (False, 0)


async def test_retried_dead_letter_is_parked_for_the_next_life(life: Life) -> None:
    async with life() as state:
        await state.parking.bury(make_pair(offset=3), reason="gave_up", error="", trace="")
        await state.parking.retry_dead(DeadFilter())

    async with life() as state:
        assert [pair.position.offset for pair in await state.parking.due(0, 10)] == [3]
        assert (state.parking.parked(), state.parking.dead()) == (1, 0)
