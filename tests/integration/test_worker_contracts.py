"""Contracts at work: what breaks one is a dead letter without a run; what is mended runs, on SQLite and on Postgres."""

import json
from collections.abc import Callable, Mapping

from gateway.api import Backoff, Context, Event, HandlerFunction, Retry, Router
from gateway.core.requirement import EVERY, Requirement, Schema
from gateway.handle.contracts import Contract
from gateway.handle.dispatch import Dispatcher, Hooks, Rules
from gateway.handle.equipment import WorkerSettings
from gateway.handle.jobs import Job
from gateway.keep.ports import DeadFilter, Pair, Position
from tests.postgres_state_builders import worker_in
from tests.worker_rig import (
    AT_ONCE,
    CountingMeter,
    FakeClock,
    ListLog,
    Rig,
    make_event,
    make_replay,
    router_of,
    working,
)

BROKEN = "/n: minimum 2 (n.json)"


def contracts(schema: object) -> Mapping[str, Callable[[Event], str]]:
    requirement = Requirement(pattern=EVERY, schemas=((EVERY, Schema("n.json", json.dumps(schema))),))
    return {"acme": Contract([requirement]).broken}


STRICT = WorkerSettings(poll=0.005, contracts=contracts({"properties": {"n": {"minimum": 2}}}))
MENDED = WorkerSettings(poll=0.005, contracts=contracts({"properties": {"n": {"minimum": 1}}}))


def noting(seen: list[str]) -> HandlerFunction:
    async def note(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    return note


async def test_an_event_that_breaks_its_contract_is_a_dead_letter_without_a_run() -> None:
    seen: list[str] = []
    async with working(router_of(noting(seen)), settings=STRICT) as rig:
        rig.put(make_event(1), make_event(2))
        await rig.until_committed()
        [letter] = await rig.dead()

    assert seen == ["evt_2"]
    assert (letter.reason, letter.error, letter.attempts, letter.trace) == ("contract", BROKEN, 0, "")
    assert letter.pair.event == make_event(1)
    assert rig.meter.deaths == {("h", "contract"): 1}
    assert rig.meter.runs == {("h", "dead"): 1, ("h", "done"): 1}


async def test_each_handler_has_a_dead_letter_of_its_own_and_those_that_do_not_want_the_event_have_none() -> None:
    router = Router("r")
    seen: list[str] = []
    router.add(noting(seen), "*", name="a")
    router.add(noting(seen), "thing.*", name="b")
    router.add(noting(seen), "other", name="c")
    router.add(noting(seen), "*", name="d", where=lambda event: False)
    async with working(router, settings=STRICT) as rig:
        rig.put(make_event(1))
        await rig.until_committed()

        assert sorted(letter.pair.handler for letter in await rig.dead()) == ["a", "b"]
    assert seen == []


async def test_sources_that_require_nothing_are_asked_nothing() -> None:
    seen: list[str] = []
    async with working(router_of(noting(seen)), settings=STRICT) as rig:
        rig.put(make_event(1, source="other", body=b"no JSON"))
        await rig.until_committed()

    assert seen == ["evt_1"]


async def test_broken_contracts_do_not_trip_the_breaker() -> None:
    seen: list[str] = []
    async with working(router_of(noting(seen)), settings=STRICT) as rig:
        rig.put(*(make_event(n, body=b'{"n":1}') for n in range(30)), make_event(99))
        await rig.until_committed()

    assert seen == ["evt_99"]
    assert rig.worker.sample().paused == ""


async def test_a_broken_event_of_a_strict_handler_holds_nothing_back() -> None:
    seen: list[str] = []
    async with working(router_of(noting(seen), order="strict"), settings=STRICT) as rig:
        rig.put(make_event(1, key="k"), make_event(2, key="k"))
        await rig.until_committed()

    assert seen == ["evt_2"]


async def test_a_broken_event_is_not_held_behind_one_that_waits() -> None:
    async def later(event: Event, ctx: Context) -> None:
        raise Retry(after=3600)

    async with working(router_of(later, order="strict", retry=Backoff()), settings=STRICT) as rig:
        rig.put(make_event(2, key="k"), make_event(1, key="k"))
        await rig.until_committed()

        assert [letter.pair.event.id for letter in await rig.dead()] == ["evt_1"]
        assert rig.state.parking.parked() == 1


async def succeeding(old: Rig, settings: WorkerSettings, router: Router) -> Rig:
    """End the worker, as a changed configuration asks, and start the next on what it left."""
    await old.stop()
    new = Rig(router, log=old.log, state=old.state, settings=settings, clock=old.clock)
    new.start()
    return new


async def test_a_dead_letter_that_is_retried_runs_once_the_schema_is_mended() -> None:
    seen: list[str] = []
    router = router_of(noting(seen))
    async with working(router, settings=STRICT) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        assert await rig.retry_dead() == 1
        await rig.until(lambda: rig.meter.deaths["h", "contract"] == 2)
        before = list(seen)

        mended = await succeeding(rig, MENDED, router)
        assert await mended.retry_dead() == 1
        await mended.until(lambda: mended.meter.runs["h", "done"] == 1)
        left = (await mended.dead(), mended.state.parking.parked())
        await mended.stop()

    assert (before, seen) == ([], ["evt_1"])
    assert left == ([], 0)


async def test_a_replay_of_what_is_missing_runs_it_once_the_schema_is_mended() -> None:
    seen: list[str] = []
    router = router_of(noting(seen))
    async with working(router, settings=STRICT) as rig:
        rig.put(make_event(1), make_event(2))
        await rig.until_committed()

        mended = await succeeding(rig, MENDED, router)
        await mended.worker.replay(make_replay(upto={0: 2}))
        await mended.until(lambda: not mended.worker.replays() and mended.state.parking.dead() == 0)
        await mended.stop()

    assert seen == ["evt_2", "evt_1"]


async def test_the_tries_of_one_run_ask_once() -> None:
    asked: list[str] = []

    async def fail_twice(event: Event, ctx: Context) -> None:
        if ctx.attempt < 3:
            raise ValueError

    def contract(event: Event) -> str:
        asked.append(event.id)
        return ""

    settings = WorkerSettings(poll=0.005, contracts={"acme": contract})
    async with working(router_of(fail_twice, retry=AT_ONCE), settings=settings) as rig:
        rig.put(make_event(1))
        await rig.until(lambda: rig.meter.runs["h", "done"] == 1)

    assert asked == ["evt_1"]


async def test_a_durable_retry_asks_anew() -> None:
    clock, log = FakeClock(), ListLog()

    async def fail(event: Event, ctx: Context) -> None:
        raise ValueError

    router = router_of(fail, retry=Backoff(first=60, inline=1, jitter=0.0))
    async with working(router, settings=MENDED, log=log, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until(lambda: rig.state.parking.parked() == 1)

        strict = await succeeding(rig, STRICT, router)
        clock.forward(120)
        await strict.until(lambda: strict.state.parking.dead() == 1)
        [letter] = await strict.dead()
        await strict.stop()

    assert (letter.reason, letter.attempts) == ("contract", 1)


async def test_on_postgres_it_is_kept_and_runs_once_the_schema_is_mended(migrated_database: str) -> None:
    seen: list[str] = []
    router, meter = router_of(noting(seen)), CountingMeter()
    [handler] = router.handlers
    hooks = Hooks(hung=lambda job: None, ended=lambda job, outcome: None)

    def job(pair: Pair) -> Job:
        return Job(pair, handler, lambda entry: None, fresh=pair.parked_id is None)

    async with worker_in(migrated_database) as worker:

        async def run(pair: Pair, settings: WorkerSettings) -> None:
            rules = Rules(contracts=settings.contracts)
            dispatcher = Dispatcher(router.name, worker.store, worker.parking, meter, rules, hooks)
            assert await dispatcher.run(job(pair), lambda job: None) is None

        await run(Pair(handler="h", event=make_event(1), position=Position(0, 1)), STRICT)
        [letter] = await worker.parking.dead_letters(DeadFilter(reason="contract"), limit=10)
        assert await worker.parking.retry_dead(DeadFilter(reason="contract")) == 1
        [due] = await worker.parking.due(10**18, 10)
        await run(due, MENDED)

        assert (letter.error, letter.pair.event, letter.attempts) == (BROKEN, make_event(1), 0)
        assert seen == ["evt_1"]
        assert (worker.parking.dead(), worker.parking.parked()) == (0, 0)
        assert meter.deaths == {("h", "contract"): 1}
