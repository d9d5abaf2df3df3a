"""A worker's life: pause, breaker, drain, lifespan, a lost store, a full disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Retry, Router
from gateway.core.errors import PluginError, PoisonedError
from gateway.handle.equipment import WorkerSettings
from tests.worker_rig import INSERT, FakeClock, Rig, make_event, router_of, succeed, working


async def test_a_paused_worker_starts_nothing_until_it_is_resumed_and_stays_paused_over_a_restart() -> None:
    async with working(router_of(succeed)) as rig:
        await rig.worker.pause()
        rig.put(make_event(1))
        await rig.stop()
        second = Rig(router_of(succeed), log=rig.log, state=rig.state)
        second.start()
        await second.until(lambda: second.worker.sample().backlog_events == 1)
        paused, runs = second.worker.sample().paused, dict(second.meter.runs)
        await second.worker.resume()
        await second.until_committed()
        await second.stop()

    assert (paused, runs) == ("operator", {})
    assert second.worker.sample().paused == ""
    assert second.meter.runs == {("h", "done"): 1}


async def test_twenty_dead_letters_in_a_row_pause_the_router_and_the_rest_waits() -> None:
    broken = True

    async def refuse(event: Event, ctx: Context) -> None:
        if broken:
            raise GiveUp("wrong version deployed")

    router = Router("r")
    router.add(refuse, "*", name="h", concurrency=1)
    async with working(router) as rig:
        rig.put(*[make_event(number) for number in range(50)])
        await rig.until(lambda: rig.worker.sample().paused)
        await rig.until(lambda: rig.worker._crew.lanes.started == 0)
        cause, dead = rig.worker.sample().paused, rig.state.parking.dead()
        broken = False
        await rig.worker.resume()
        await rig.until_committed()

    assert cause == "breaker"
    assert 20 <= dead < 50
    assert rig.meter.runs["h", "dead"] + rig.meter.runs["h", "done"] == 50


async def test_a_duplicate_between_dead_letters_does_not_keep_the_breaker_closed() -> None:
    async def refuse(event: Event, ctx: Context) -> None:
        if event.id != "evt_0":
            raise GiveUp

    async with working(router_of(refuse)) as rig:
        first, *dead = (make_event(number, key="one lane") for number in range(21))
        rig.put(first, *dead[:10], first, *dead[10:])
        await rig.until_committed()

        assert rig.meter.runs == {("h", "done"): 1, ("h", "duplicate"): 1, ("h", "dead"): 20}
        assert rig.worker.sample().paused == "breaker"


async def test_draining_waits_for_what_runs_and_starts_nothing_more() -> None:
    release, started = asyncio.Event(), []

    async def slow(event: Event, ctx: Context) -> None:
        started.append(event.id)
        await release.wait()

    async with working(router_of(slow, concurrency=1)) as rig:
        rig.put(make_event(1), make_event(2))
        await rig.until(lambda: started)
        draining = asyncio.create_task(rig.worker.drain(5.0))
        await rig.until(lambda: rig.worker._crew.stopped)
        release.set()
        await draining

        assert started == ["evt_1"]
        assert rig.subscription.committed() == {0: 1}
        assert await rig.mark("h", make_event(1)) == "done"


async def test_what_outlasts_the_drain_is_abandoned_without_an_outcome_and_runs_again() -> None:
    started: list[int] = []

    async def slow(event: Event, ctx: Context) -> None:
        started.append(ctx.attempt)
        if len(started) == 1:
            await asyncio.Event().wait()

    router = router_of(slow)
    async with working(router) as rig:
        rig.put(make_event(1))
        await rig.until(lambda: started)
        await rig.stop(0.01)
        second = Rig(router, log=rig.log, state=rig.state)
        second.start()
        await second.until_committed()
        await second.stop()

    assert started == [1, 1]
    assert rig.meter.runs == {}
    assert second.meter.runs == {("h", "done"): 1}


async def test_the_lifespan_opens_before_the_first_event_and_closes_after_the_last() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("open")
        yield
        steps.append("close")

    async def handle(event: Event, ctx: Context) -> None:
        steps.append("run")

    async with working(router_of(handle, lifespan=lifespan)) as rig:
        rig.put(make_event(1))
        await rig.until_committed()

    assert steps == ["open", "run", "close"]


async def test_a_lifespan_that_never_opens_fails_the_worker() -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    rig = Rig(router_of(succeed, lifespan=lifespan), settings=WorkerSettings(patience=0.02))

    with pytest.raises(TimeoutError):
        await rig.worker.run()
    await rig.state.close()


async def test_a_wrong_schema_fails_the_worker() -> None:
    rig = Rig(Router("r", schema="drop table gateway_mark"))

    with pytest.raises(PluginError):
        await rig.worker.run()
    await rig.state.close()


async def test_a_poisoned_store_ends_the_worker() -> None:
    async def poison(event: Event, ctx: Context) -> None:
        raise PoisonedError

    rig = Rig(router_of(poison))
    rig.put(make_event(1))

    with pytest.raises(PoisonedError):
        await rig.worker.run()
    await rig.state.close()


async def test_a_full_disk_stops_outcomes_until_there_is_room_and_costs_no_attempt(monkeypatch) -> None:
    monkeypatch.setattr("gateway.handle.durably.STORE_PAUSE", 0.01)
    monkeypatch.setattr("gateway.handle.dispatch.STORE_PAUSE", 0.01)
    attempts: list[int] = []

    async def handle(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await ctx.tx.execute(INSERT, {"id": "x" * 10_000})

    router = router_of(handle)

    async def refuse(event: Event, ctx: Context) -> None:
        raise GiveUp

    router.add(refuse, "*", name="refuses")
    async with working(router) as rig:
        rig.put(make_event(9))
        await rig.until_committed()
        attempts.clear()
        rig.limit_pages(1)  # SQLite takes it for the present size
        rig.put(*[make_event(number, body=b"x" * 10_000) for number in range(3)])
        await rig.until(lambda: len(attempts) > 6)
        while_full = dict(rig.meter.runs)
        rig.limit_pages(2**30)
        await rig.until_committed()

        assert while_full == {("h", "done"): 1, ("refuses", "dead"): 1}
        assert set(attempts) == {1}
        assert rig.meter.runs == {("h", "done"): 4, ("refuses", "dead"): 4}
        assert rig.state.parking.dead() == 4
        assert await rig.rows("select count(*) from thing") == [(4,)]


async def test_the_window_is_bounded_while_one_event_is_stuck() -> None:
    release, seen = asyncio.Event(), set()

    async def handle(event: Event, ctx: Context) -> None:
        seen.add(event.id)
        if event.id == "evt_0":
            await release.wait()

    settings = WorkerSettings(poll=0.005, window_events=40)
    async with working(router_of(handle), settings=settings) as rig:
        rig.put(*[make_event(number) for number in range(400)])
        with pytest.raises(TimeoutError):  # one read ahead may come on top of the window
            await rig.until(lambda: len(seen) > 2 * 40, deadline=0.3)
        committed = rig.subscription.committed()[0]
        release.set()
        await rig.until_committed()

    assert committed == 0
    assert len(seen) == 400


async def test_the_sample_tells_backlog_age_retries_and_dead_letters() -> None:
    clock = FakeClock()
    release = asyncio.Event()

    async def handle(event: Event, ctx: Context) -> None:
        if event.id == "evt_1":
            raise GiveUp
        if event.id == "evt_2":
            raise Retry(after=60)
        await release.wait()

    async with working(router_of(handle, retry=Backoff()), clock=clock) as rig:
        rig.put(*[make_event(number) for number in (1, 2, 3)])
        clock.forward(30)
        await rig.until(lambda: rig.worker.sample().backlog_events == 1)
        await rig.until(lambda: rig.worker.sample().dead_letters and rig.worker.sample().retries_parked)
        sample = rig.worker.sample()
        release.set()
        await rig.until_committed()

    assert (sample.retries_parked, sample.dead_letters, sample.paused) == (1, 1, "")
    assert sample.oldest_unprocessed_seconds == pytest.approx(30.0)
