"""One pair's way through a worker: whatever a handler does ends in one durable outcome."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Retry, Router
from gateway.core.event import Flag
from gateway.handle.pump import WorkerSettings
from tests.worker_rig import QUICK, FakeClock, ListLog, Rig, make_event, working

Body = Callable[[Event, Context], Awaitable[None]]
ONCE = Backoff(attempts=1)
AT_ONCE = Backoff(attempts=3, first=0.0)
SCHEMA = "create table if not exists thing (id text, n integer)"
INSERT = "insert into thing (id, n) values (:id, 1)"


def router_of(body: Body, **options) -> Router:
    router = Router("r", schema=SCHEMA)
    options.setdefault("retry", ONCE)
    router.add(body, "*", name="h", **options)
    return router


async def succeed(event: Event, ctx: Context) -> None:
    pass


async def write(event: Event, ctx: Context) -> None:
    await ctx.tx.execute(INSERT, {"id": event.id})


async def test_each_matching_handler_runs_once_and_the_cursor_follows() -> None:
    seen: list[tuple[str, str]] = []
    router = Router("r")

    @router.on("thing.*", name="first")
    async def first(event: Event, ctx: Context) -> None:
        seen.append(("first", event.id))

    @router.on("other", name="second")
    async def second(event: Event, ctx: Context) -> None:
        seen.append(("second", event.id))

    async with working(router) as rig:
        rig.put(make_event(1), make_event(2), make_event(3, type="unheard-of"))
        await rig.until_committed()

    assert seen == [("first", "evt_1"), ("first", "evt_2")]
    assert rig.meter.runs == {("first", "done"): 2}
    assert len(rig.meter.ages) == 2


@pytest.mark.parametrize("body", [succeed, write], ids=["without tx", "with tx"])
async def test_a_finished_pair_is_marked_and_a_second_copy_is_a_duplicate(body: Body) -> None:
    event = make_event(1)
    async with working(router_of(body)) as rig:
        rig.put(event)
        await rig.until_committed()
        rig.put(event)
        await rig.until_committed()

        assert await rig.mark("h", event) == "done"
        assert rig.meter.runs == {("h", "done"): 1, ("h", "duplicate"): 1}


@pytest.mark.parametrize("body", [succeed, write], ids=["without tx", "with tx"])
async def test_copies_that_arrive_together_run_once(body: Body) -> None:
    event = make_event(1)
    async with working(router_of(body)) as rig:
        rig.put(*[event] * 50)
        await rig.until_committed()

    assert rig.meter.runs == {("h", "done"): 1, ("h", "duplicate"): 49}


async def raise_error(event: Event, ctx: Context) -> None:
    raise ValueError("sensitive text")


async def raise_after_writing(event: Event, ctx: Context) -> None:
    await write(event, ctx)
    raise ValueError("too late")


async def give_up(event: Event, ctx: Context) -> None:
    raise GiveUp("not for us")


async def exit_process(event: Event, ctx: Context) -> None:
    raise SystemExit(3)


async def interrupt(event: Event, ctx: Context) -> None:
    raise KeyboardInterrupt


async def cancel_itself(event: Event, ctx: Context) -> None:
    raise asyncio.CancelledError


async def break_a_constraint(event: Event, ctx: Context) -> None:
    await ctx.tx.execute("insert into thing (nothing) values (1)")


async def swallow_and_spoil(event: Event, ctx: Context) -> None:
    """Fail inside the transaction, go on as if nothing had happened, and fail for good."""
    with contextlib.suppress(Exception):
        await break_a_constraint(event, ctx)
    await write(event, ctx)
    raise ValueError("in the end")


@pytest.mark.parametrize(
    "body, reason, word",
    [
        (raise_error, "attempts", "ValueError"),
        (raise_after_writing, "attempts", "ValueError"),
        (give_up, "gave_up", "not for us"),
        (exit_process, "attempts", "SystemExit"),
        (interrupt, "attempts", "KeyboardInterrupt"),
        (cancel_itself, "attempts", "CancelledError"),
        (break_a_constraint, "attempts", "nothing"),
        (swallow_and_spoil, "attempts", "in the end"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_failure_ends_as_a_dead_letter_with_its_reason_and_leaves_no_row(body: Body, reason, word) -> None:
    event = make_event(1)
    async with working(router_of(body)) as rig:
        rig.put(event)
        await rig.until_committed()
        [letter] = await rig.dead()

        assert (letter.reason, letter.attempts) == (reason, 1)
        assert word in letter.error
        assert "Traceback" in letter.trace
        assert await rig.rows("select * from thing") == []
        assert await rig.mark("h", event) is None
        assert rig.meter.deaths == {("h", reason): 1}


async def test_a_failing_handler_costs_its_neighbours_nothing() -> None:
    router = router_of(raise_error, retry=Backoff())
    router.add(succeed, "*", name="neighbour")
    async with working(router) as rig:
        rig.put(*[make_event(number, key="one") for number in range(20)])
        await rig.until(lambda: rig.meter.runs["neighbour", "done"] == 20)

        assert rig.meter.runs["h", "done"] == 0
        assert rig.subscription.committed() == {0: 0}


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
        await rig.until(lambda: rig.killed)
        never.set()

        assert rig.killed[0] == 71
        assert [rig.state.blame.crashes(key) for key in rig.state.blame._crashes] == [1]


async def test_a_retry_signal_waits_as_long_as_it_asks() -> None:
    clock, attempts = FakeClock(), []

    async def ask_again(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry(after=3600)

    async with working(router_of(ask_again, retry=Backoff()), clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        parked, due_now = rig.state.parking.parked(), list(await rig.state.parking.due(clock() + 3_590_000_000, 10))
        clock.forward(3601)
        await rig.until(lambda: len(attempts) == 2)
        await rig.until(lambda: rig.state.parking.parked() == 0)

    assert (parked, due_now) == (1, [])
    assert attempts == [1, 2]
    assert rig.meter.runs == {("h", "retry"): 1, ("h", "done"): 1}


async def test_attempts_count_over_inline_and_durable_retries_up_to_the_last() -> None:
    clock, attempts = FakeClock(), []

    async def fail(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise ValueError

    policy = Backoff(attempts=5, first=0.001, factor=1.0, jitter=0.0, inline=2)
    async with working(router_of(fail, retry=policy), clock=clock) as rig:
        rig.put(make_event(1))
        while not rig.state.parking.dead():
            clock.forward(1)
            await asyncio.sleep(0)
        [letter] = await rig.dead()

    assert attempts == [1, 2, 3, 4, 5]
    assert (letter.attempts, letter.reason) == (5, "attempts")


async def test_a_where_that_says_no_leaves_no_trace_and_one_that_raises_is_a_failure() -> None:
    def choose(event: Event) -> bool:
        if event.id == "evt_2":
            raise LookupError("no such field")
        return event.id == "evt_3"

    async with working(router_of(succeed, where=choose)) as rig:
        rig.put(*[make_event(number) for number in (1, 2, 3)])
        await rig.until_committed()
        [letter] = await rig.dead()

    assert (letter.pair.event.id, letter.attempts) == ("evt_2", 1)
    assert rig.meter.runs == {("h", "dead"): 1, ("h", "done"): 1}


CONFLICT: tuple[Flag, ...] = ("id_conflict",)


@pytest.mark.parametrize(
    "policy, ran, letters",
    [("dead", ["evt_1"], 1), ("skip", ["evt_1"], 0), ("run", ["evt_1", "evt_1"], 0)],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_poisoned_id_never_hides_the_genuine_event(policy, ran, letters) -> None:
    seen: list[str] = []

    async def note(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    forged = make_event(1, body=b"other", id_signed=False, flags=CONFLICT)
    settings = WorkerSettings(poll=0.005, conflicts={"acme": policy})
    async with working(router_of(note), settings=settings) as rig:
        rig.put(make_event(1, id_signed=False), forged)
        await rig.until_committed()
        dead = await rig.dead()

    assert seen == ran
    assert [letter.reason for letter in dead] == ["id_conflict"] * letters


async def test_a_conflicting_event_that_an_operator_sends_back_runs() -> None:
    seen: list[str] = []

    async def note(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    async with working(router_of(note)) as rig:
        rig.put(make_event(1, id_signed=False, flags=CONFLICT))
        await rig.until_committed()
        [letter] = await rig.dead()
        await rig.retry_dead(letter.id)
        await rig.until(lambda: seen)
        await rig.until(lambda: rig.state.parking.parked() == 0)

        assert seen == ["evt_1"]
        assert await rig.dead() == []


async def test_conflicts_that_a_sender_causes_do_not_trip_the_breaker() -> None:
    async with working(router_of(succeed)) as rig:
        forged = [make_event(n, id_signed=False, flags=CONFLICT) for n in range(30)]
        rig.put(*forged, make_event(99))
        await rig.until_committed()

    assert rig.meter.runs["h", "done"] == 1
    assert rig.worker.sample().paused == ""


async def test_an_unreadable_record_is_a_dead_letter_and_holds_nothing_up() -> None:
    async with working(router_of(succeed)) as rig:
        rig.put(None, make_event(2))
        await rig.until_committed()
        [letter] = await rig.dead()

    assert (letter.reason, letter.pair.position.offset) == ("unreadable", 1)
    assert rig.meter.runs["h", "done"] == 1


async def test_a_mark_under_a_former_name_counts() -> None:
    log, event = ListLog(), make_event(1)
    old = Router("r")
    old.add(succeed, "*", name="old-name")
    new = Router("r")
    new.add(succeed, "*", name="new-name", aliases=("old-name",))
    async with working(old, log=log) as rig:
        rig.put(event)
        await rig.until_committed()
        await rig.stop()
        second = Rig(new, log=log, state=rig.state)
        second.start()
        second.put(event)
        await second.until_committed()
        await second.stop()

    assert second.meter.runs == {("new-name", "duplicate"): 1}


async def test_a_parked_pair_follows_a_rename_and_dies_with_its_handler() -> None:
    log, clock = ListLog(), FakeClock()
    old, new = Router("r"), Router("r")

    async def later(event: Event, ctx: Context) -> None:
        raise Retry(after=60)

    old.add(later, "*", name="renamed")
    old.add(later, "*", name="removed")
    new.add(succeed, "*", name="new-name", aliases=("renamed",))
    async with working(old, log=log, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.stop()
        clock.forward(61)
        second = Rig(new, log=log, state=rig.state, clock=clock)
        second.start()
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.stop()
        [letter] = await rig.dead()

    assert (letter.pair.handler, letter.reason) == ("removed", "handler_gone")
    assert second.meter.runs["new-name", "done"] == 1


async def test_pairs_that_are_parked_or_dead_are_not_run_again_when_the_log_is_read_again() -> None:
    log, clock = ListLog(), FakeClock()
    runs: list[str] = []

    async def never_well(event: Event, ctx: Context) -> None:
        runs.append(event.id)
        raise GiveUp if event.id == "evt_1" else Retry(after=3600)

    router = router_of(never_well, retry=Backoff())
    async with working(router, log=log, clock=clock) as rig:
        rig.put(make_event(1), make_event(2))
        await rig.until_committed()
        await rig.stop()
        rig.state._subscription = None
        copies = Rig(router, log=log, state=rig.state, clock=clock)
        copies.start()
        copies.put(make_event(1), make_event(2))
        await copies.until_committed()
        await copies.stop()

    assert runs == ["evt_1", "evt_2"]


async def test_an_idempotency_key_is_stable_over_attempts_and_differs_between_handlers() -> None:
    keys: list[str] = []

    async def note(event: Event, ctx: Context) -> None:
        keys.append(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise ValueError

    router = router_of(note, retry=AT_ONCE)
    router.add(note, "*", name="other", retry=AT_ONCE)
    async with working(router) as rig:
        rig.put(make_event(1))
        await rig.until_committed()

    assert len(keys) == 4
    assert len(set(keys)) == 2


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
