"""A worker's life: pause, breaker, drain, crash blame, lifespan, a lost store, a full disk."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Retry, Router
from gateway.core.errors import PluginError, PoisonedError
from gateway.handle.equipment import WorkerSettings
from gateway.keep.ports import MarkKey, Pair, Stored
from gateway.keep.sqlite.subscription import SqliteSubscription
from tests.worker_rig import INSERT, FakeClock, Rig, make_event, router_of, succeed, working


class UncleanBlame:
    """Blame as a worker finds it that follows a dead one."""

    def __init__(self, crashes: dict[bytes, int] | None = None) -> None:
        self.counts = crashes or {}
        self.alone: list[bytes] = []
        self.together = False
        self.ended = False

    def unclean(self) -> bool:
        return True

    def clean_exit(self) -> "Future[None]":
        self.ended = True
        return _done()

    def started_alone(self, key: MarkKey) -> "Future[None]":
        self.alone.append(key.dedupe_key)
        return _done()

    def finished_alone(self, key: MarkKey) -> None:
        pass

    def crashed(self, key: MarkKey) -> "Future[int]":
        raise AssertionError("a crash while alone is counted by its note")

    def crashes(self, key: MarkKey) -> int:
        return self.counts.get(key.dedupe_key, 0)


def _done() -> "Future[None]":
    future: Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


async def test_after_an_unclean_end_pairs_run_alone_until_the_old_window_is_through() -> None:
    running = most_alone = most_later = 0
    events = [make_event(number) for number in range(10)]
    later = [make_event(number) for number in range(10, 20)]
    blame = UncleanBlame()

    async def handle(event: Event, ctx: Context) -> None:
        nonlocal running, most_alone, most_later
        running += 1
        if int(event.id[4:]) < 10:
            most_alone = max(most_alone, running)
        else:
            most_later = max(most_later, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1

    rig = Rig(router_of(handle), blame=blame)
    rig.put(*events)
    rig.start()
    await rig.until_committed()
    await rig.until(lambda: not rig.worker._caution.active)
    rig.put(*later)
    await rig.until_committed()
    await rig.stop()
    await rig.state.close()

    assert most_alone == 1
    assert most_later > 1
    assert blame.alone == [event.dedupe_key for event in events]
    assert blame.ended


async def test_a_pair_that_crashed_three_times_alone_is_a_dead_letter_and_its_neighbour_runs() -> None:
    culprit, neighbour = make_event(1), make_event(2)
    seen: list[str] = []

    async def handle(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    blame = UncleanBlame({culprit.dedupe_key: 3, neighbour.dedupe_key: 2})
    async with working(router_of(handle), blame=blame) as rig:
        rig.put(culprit, neighbour)
        await rig.until_committed()
        [letter] = await rig.dead()

    assert seen == ["evt_2"]
    assert (letter.pair.event.id, letter.reason) == ("evt_1", "crashed")
    assert rig.meter.runs["h", "crashed"] == 1


class LateSubscription:
    """A subscription whose partition comes when told; `fetched` counts how often nothing was read, `asked` the reads."""

    def __init__(self, inner: SqliteSubscription) -> None:
        self.placed = asyncio.Event()
        self.fetched = self.asked = 0
        self._committed, self._fetch = inner.committed, inner.fetch
        inner.committed = self.committed  # type: ignore[method-assign]
        inner.fetch = self.fetch  # type: ignore[method-assign]

    def committed(self) -> Mapping[int, int]:
        return {0: 0, **self._committed()} if self.placed.is_set() else {}

    async def fetch(self, *, max_events: int, max_bytes: int) -> Sequence[Stored]:
        self.asked += 1
        found = await self._fetch(max_events=max_events, max_bytes=max_bytes) if self.placed.is_set() else ()
        self.fetched += not found
        await asyncio.sleep(0)
        return found


async def test_pairs_of_a_partition_that_comes_late_run_alone_after_an_unclean_end() -> None:
    blame = UncleanBlame()
    rig = Rig(router_of(succeed), blame=blame)
    late = LateSubscription(rig.subscription)
    rig.put(make_event(1))
    rig.start()
    await rig.until(lambda: late.fetched > 3)
    late.placed.set()
    await rig.until_committed()
    await rig.stop()
    await rig.state.close()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_what_a_partition_that_leaves_left_unread_is_read_with_care_when_it_comes_back() -> None:
    blame = UncleanBlame()
    rig = Rig(router_of(succeed), blame=blame)
    late = LateSubscription(rig.subscription)
    late.placed.set()
    rig.start()
    await rig.until(lambda: late.asked)
    late.placed.clear()
    await rig.worker._rebalance.revoking({0})
    await rig.until(lambda: late.fetched > 3)
    rig.put(make_event(1))
    late.placed.set()
    await rig.until_committed()
    await rig.until(lambda: not rig.worker._caution.active)
    await rig.stop()
    await rig.state.close()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_parked_pairs_of_a_partition_that_comes_late_run_alone_too() -> None:
    clock = FakeClock()
    placed = looked = False

    async def later(event: Event, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise Retry(after=60)

    router = router_of(later, retry=Backoff())
    async with working(router, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.stop()
        clock.forward(61)
        blame = UncleanBlame()
        second = Rig(router, log=rig.log, state=rig.state, clock=clock, blame=blame)
        committed, due = second.subscription.committed, second.state.parking.due

        async def due_of_ours(now_us: int, limit: int) -> Sequence[Pair]:
            nonlocal looked
            looked = True
            return await due(now_us, limit) if placed else ()

        second.subscription.committed = lambda: committed() if placed else {}  # type: ignore[method-assign]
        second.state.parking.due = due_of_ours  # type: ignore[method-assign]
        second.start()
        await second.until(lambda: looked)
        placed = True
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.until(lambda: not second.worker._caution.active)
        await second.stop()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_parked_pairs_run_alone_too_after_an_unclean_end() -> None:
    clock, runs = FakeClock(), []

    async def later(event: Event, ctx: Context) -> None:
        runs.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry(after=60)

    router = router_of(later, retry=Backoff())
    async with working(router, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.stop()
        clock.forward(61)
        blame = UncleanBlame()
        second = Rig(router, log=rig.log, state=rig.state, clock=clock, blame=blame)
        second.start()
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.stop()

    assert runs == [1, 2]
    assert blame.alone == [make_event(1).dedupe_key]


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
