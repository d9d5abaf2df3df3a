"""Replays: what is missing, what is forced, at which rate, and from where after a restart."""

import asyncio

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Router
from gateway.core.errors import PluginError
from gateway.keep.ports import Filter
from tests.worker_rig import Rig, make_event, make_replay, working


class Notes:
    def __init__(self) -> None:
        self.runs: list[tuple[str, str, str | None]] = []
        self.keys: set[str] = set()
        self.refusing = False

    async def first(self, event: Event, ctx: Context) -> None:
        self.runs.append(("first", event.id, ctx.replay_id))
        self.keys.add(ctx.idempotency_key)
        if self.refusing:
            raise GiveUp

    async def second(self, event: Event, ctx: Context) -> None:
        self.runs.append(("second", event.id, ctx.replay_id))

    def router(self) -> Router:
        router = Router("r")
        router.add(self.first, "*", name="first", retry=Backoff(attempts=1))
        router.add(self.second, "*", name="second")
        return router


async def test_missing_runs_only_what_has_no_mark_and_clears_its_dead_letter() -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        notes.refusing = True
        rig.put(make_event(1))
        await rig.until_committed()
        notes.refusing = False
        rig.put(make_event(2))
        await rig.until_committed()
        notes.runs.clear()
        await rig.worker.replay(make_replay(upto={0: 2}))
        await rig.until(lambda: not rig.worker.replays())

        assert notes.runs == [("first", "evt_1", "r1")]
        assert rig.state.parking.dead() == 0
        assert rig.state.replays.running() == ()


@pytest.mark.parametrize(
    "options, keys", [({}, 1), ({"new_keys": True}, 2)], ids=["the same keys for outside", "new keys for outside"]
)
async def test_force_runs_again_once_for_the_named_handler_alone(options: dict[str, bool], keys: int) -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        notes.runs.clear()
        for _ in range(2):
            replay = make_replay(mode="force", handler="first", upto={0: 1}, **options)
            await rig.worker.replay(replay)
            await rig.until(lambda: not rig.worker.replays())

        assert notes.runs == [("first", "evt_1", "r1")]
        assert await rig.mark("first", make_event(1), "r1") == "done"
        assert len(notes.keys) == keys


async def test_a_replay_takes_what_fits_its_filter_up_to_its_end_and_counts_it() -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        rig.put(make_event(1, type="a"), make_event(2, type="b"), make_event(3, type="a"), make_event(4, type="a"))
        await rig.until_committed()
        notes.runs.clear()
        await rig.worker.replay(make_replay(mode="force", handler="first", where=Filter(type="a"), upto={0: 3}))
        await rig.until(lambda: not rig.worker.replays())

    assert [event_id for _, event_id, _ in notes.runs] == ["evt_1", "evt_3"]
    assert rig.meter.handed == 2


async def test_a_replay_resumes_after_a_restart_and_runs_each_pair_once() -> None:
    notes = Notes()
    count = 600
    async with working(notes.router()) as rig:
        rig.put(*[make_event(number) for number in range(count)])
        await rig.until_committed()
        notes.runs.clear()
        await rig.worker.replay(make_replay(mode="force", handler="second", upto={0: count}))
        await rig.until(lambda: notes.runs)
        await rig.stop()
        between = len(notes.runs)
        [durable] = rig.state.replays.running()
        rig.log.reads.clear()
        second = Rig(notes.router(), log=rig.log, state=rig.state)
        second.start()
        await second.until(lambda: not second.worker.replays())
        await second.stop()

    assert 0 < between < count
    assert 0 < durable.at[0] <= between
    assert rig.log.reads[0] == durable.at
    assert sorted(notes.runs) == sorted(("second", f"evt_{number}", "r1") for number in range(count))


async def test_a_replay_at_a_rate_leaves_live_events_room_and_can_be_cancelled() -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        rig.put(*[make_event(number) for number in range(5)])
        await rig.until_committed()
        notes.runs.clear()
        await rig.worker.replay(make_replay(mode="force", handler="first", rate=0.01, upto={0: 5}))
        await rig.until(lambda: notes.runs)
        rig.put(make_event(99))
        await rig.until_committed()
        cancelled = await rig.worker.cancel_replay("r1")
        unknown = await rig.worker.cancel_replay("r1")
        await rig.stop()

    assert [run for run in notes.runs if run[2]] == [("first", "evt_0", "r1")]
    assert ("first", "evt_99", None) in notes.runs
    assert (cancelled, unknown) == (True, False)
    assert rig.state.replays.running() == ()


async def test_a_paused_router_replays_nothing() -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        notes.runs.clear()
        await rig.worker.pause()
        await rig.worker.replay(make_replay(mode="force", upto={0: 1}))
        for _ in range(50):
            await asyncio.sleep(0)
        while_paused = list(notes.runs)
        await rig.worker.resume()
        await rig.until(lambda: not rig.worker.replays())

    assert while_paused == []
    assert len(notes.runs) == 2


async def test_a_replay_for_an_unknown_handler_is_refused() -> None:
    async with working(Notes().router()) as rig:
        with pytest.raises(PluginError, match="no handler 'third'"):
            await rig.worker.replay(make_replay(handler="third"))


async def test_a_replay_of_a_handler_that_is_gone_runs_no_other() -> None:
    notes = Notes()
    async with working(notes.router()) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.state.replays.save(make_replay(handler="third", mode="force", upto={0: 1}))
        await rig.stop()
        second = Rig(notes.router(), log=rig.log, state=rig.state)
        second.start()
        await second.until(lambda: not second.worker.replays())
        await second.stop()

    assert notes.runs == [("first", "evt_1", None), ("second", "evt_1", None)]


async def test_a_replay_that_is_cancelled_while_it_waits_leaves_the_others_and_the_worker_alone() -> None:
    gate, began = asyncio.Event(), asyncio.Event()

    async def wait(event: Event, ctx: Context) -> None:
        if ctx.replay_id == "r2":
            began.set()
            await gate.wait()

    router = Router("r")
    router.add(wait, "*", name="wait")
    async with working(router) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.worker.pause()
        for name in ("r1", "r2", "r3", "r4"):
            await rig.worker.replay(make_replay(id=name, mode="force", upto={0: 1}))
        await rig.worker.resume()
        await began.wait()

        assert await rig.worker.cancel_replay("r3")
        gate.set()
        await rig.until(lambda: not rig.worker.replays())

        assert await rig.mark("wait", make_event(1), "r3") is None
        assert await rig.mark("wait", make_event(1), "r4") == "done"
