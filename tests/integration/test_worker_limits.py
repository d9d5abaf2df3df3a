"""What a run may take: time, transactions, places, log lines; and what it may not keep after its end."""

import asyncio
import logging
from dataclasses import replace

import pytest

from gateway.api import Backoff, Context, Event, Router
from gateway.handle.dispatch import Dispatcher, Hooks, Rules
from gateway.handle.equipment import WorkerSettings
from gateway.handle.jobs import Job
from gateway.keep.ports import Pair, Position
from tests.worker_rig import AT_ONCE, INSERT, QUICK, SCHEMA, Rig, make_event, router_of, succeed, working, write


async def test_a_hanging_handler_is_cancelled_at_its_timeout_and_retried() -> None:
    attempts: list[int] = []

    async def hang_once(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    async with working(router_of(hang_once, timeout=0.05, retry=AT_ONCE)) as rig:
        rig.put(make_event(1))
        await rig.until_committed()

    assert attempts == [1, 2]
    assert rig.meter.runs == {("h", "retry"): 1, ("h", "done"): 1}
    assert rig.killed == []


async def test_after_its_timeout_a_run_can_use_nothing_and_what_it_wrote_is_gone() -> None:
    refused: list[str] = []

    async def hold_on(event: Event, ctx: Context) -> None:
        kept = ctx.tx
        await write(event, ctx)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await kept.execute(INSERT, {"id": "late"})
            except TimeoutError as error:
                refused.append(str(error))
            try:
                await ctx.tx.execute(INSERT, {"id": "late"})
            except TimeoutError as error:
                refused.append(str(error))

    async with working(router_of(hold_on, timeout=0.05)) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        [letter] = await rig.dead()

        assert refused == ["this run outlived its timeout"] * 2
        assert letter.error.startswith("TimeoutError")
        assert await rig.rows("select * from thing") == []


async def test_a_task_left_behind_cannot_write_after_its_run() -> None:
    release, outcomes = asyncio.Event(), []

    async def write_later(ctx: Context) -> None:
        await release.wait()
        try:
            await ctx.tx.execute(INSERT, {"id": "stray"})
        except TimeoutError as error:
            outcomes.append(str(error))

    strays: list[asyncio.Task[None]] = []

    async def leave_behind(event: Event, ctx: Context) -> None:
        strays.append(asyncio.create_task(write_later(ctx)))

    async with working(router_of(leave_behind)) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        release.set()
        await asyncio.gather(*strays)

        assert outcomes == ["this run is over"]
        assert await rig.rows("select * from thing") == []


async def test_a_handler_that_ignores_its_cancellation_gets_a_crash_and_the_process_ends() -> None:
    never, event = asyncio.Event(), make_event(1)

    async def ignore(event: Event, ctx: Context) -> None:
        while not never.is_set():
            try:
                await never.wait()
            except asyncio.CancelledError:
                continue

    async with working(router_of(ignore, timeout=0.02)) as rig:
        rig.put(event)
        try:
            await rig.until(lambda: rig.killed)
        finally:
            never.set()

        assert rig.killed[0] == 71
        assert [rig.state.blame.crashes(key) for key in rig.state.blame._crashes] == [1]


async def test_a_handler_cannot_flood_the_log_and_no_line_holds_what_an_exception_said(caplog) -> None:
    async def flood(event: Event, ctx: Context) -> None:
        for number in range(500):
            ctx.log.info("line %d", number)
        raise ValueError("sensitive text")

    with caplog.at_level(logging.DEBUG, logger="gateway"):
        async with working(router_of(flood)) as rig:
            rig.put(make_event(1))
            await rig.until_committed()

    lines = [record for record in caplog.records if record.getMessage().startswith("line")]
    [dropped] = [record for record in caplog.records if record.getMessage() == "handler.lines_dropped"]
    assert len(lines) == 100
    assert lines[0].__dict__["event_id"] == "evt_1"
    assert dropped.__dict__["dropped"] == 400
    assert not any("sensitive" in str(record.__dict__) for record in caplog.records)


async def test_concurrency_of_a_handler_is_never_exceeded_and_its_neighbour_is_not_bound_by_it() -> None:
    running, most = 0, 0
    neighbours: set[str] = set()
    together = asyncio.Event()

    async def one_at_a_time(event: Event, ctx: Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async def all_at_once(event: Event, ctx: Context) -> None:
        neighbours.add(event.id)
        if len(neighbours) == 10:
            together.set()
        await together.wait()

    router = router_of(one_at_a_time, concurrency=1)
    router.add(all_at_once, "*", name="neighbour")
    async with working(router) as rig:
        rig.put(*[make_event(number) for number in range(10)])
        await rig.until_committed()

    assert most == 1
    assert rig.meter.runs == {("h", "done"): 10, ("neighbour", "done"): 10}


async def test_a_rate_delays_runs_and_loses_none() -> None:
    async with working(router_of(succeed, rate=50.0)) as rig:
        rig.put(*[make_event(number) for number in range(60)])
        await rig.until_committed()

    assert rig.meter.runs == {("h", "done"): 60}


async def test_a_transaction_held_too_long_is_rolled_back_and_the_run_fails() -> None:
    async def hold(event: Event, ctx: Context) -> None:
        await write(event, ctx)
        await asyncio.sleep(0.2)

    settings = WorkerSettings(poll=QUICK.poll, tx_timeout=0.02)
    async with working(router_of(hold), settings=settings) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        [letter] = await rig.dead()

        assert "TimeoutError" in letter.error
        assert await rig.rows("select * from thing") == []


async def test_statements_of_one_run_may_go_side_by_side() -> None:
    async def gather(event: Event, ctx: Context) -> None:
        await asyncio.gather(*[ctx.tx.execute(INSERT, {"id": f"{event.id}-{number}"}) for number in range(5)])

    async with working(router_of(gather)) as rig:
        rig.put(make_event(1), make_event(2))
        await rig.until_committed()

        assert await rig.rows("select count(*) from thing") == [(10,)]


async def test_a_pair_that_held_its_lane_for_long_is_parked_instead_of_run_again_in_place() -> None:
    async def fail(event: Event, ctx: Context) -> None:
        raise ValueError

    rig = Rig(router := router_of(fail, retry=Backoff()))
    dispatcher = Dispatcher(
        "r",
        rig.state.store,
        rig.state.parking,
        rig.meter,
        rules=Rules(),
        hooks=Hooks(hung=lambda _: None, ended=lambda _job, _outcome: None),
    )
    pair = Pair(handler="h", event=make_event(1), position=Position(0, 1))
    quick, slow = (Job(pair, router.handlers[0], lambda _: None, fresh=True) for _ in range(2))
    slow.since = asyncio.get_running_loop().time() - 9.5

    delays = [await dispatcher.run(job, lambda _: None) for job in (quick, slow)]

    assert delays[0] is not None
    assert delays[1] is None
    assert rig.state.parking.parked() == 1
    await rig.state.close()


ENDLESS = "insert into thing (id) with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"


@pytest.mark.parametrize(
    "sql, error",
    [(ENDLESS, "TimeoutError"), ("insert or rollback into one values (1)", "apsw.ConstraintError")],
    ids=["writes without end", "undoes the whole transaction"],
)
async def test_a_statement_that_takes_the_shared_transaction_down_is_its_runs_own_failure(sql: str, error: str) -> None:
    async def ruin(event: Event, ctx: Context) -> None:
        if event.type == "good":
            await write(event, ctx)
            return
        await ctx.tx.execute("insert or ignore into one values (1)")
        await ctx.tx.execute(sql)

    router = Router("r", schema=f"{SCHEMA}; create table if not exists one (n integer primary key)")
    router.add(ruin, "*", name="h", retry=Backoff(attempts=2, first=0.0))
    async with working(router, settings=replace(QUICK, tx_timeout=0.2)) as rig:
        rig.put(make_event(1), make_event(2, type="good"))
        await rig.until_committed()
        [letter] = await rig.dead()

        assert (letter.attempts, letter.error.partition(":")[0]) == (2, error)
        assert await rig.rows("select id from thing") == [("evt_2",)]
