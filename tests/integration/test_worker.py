"""One pair's way through a worker: whatever a handler does ends in one durable outcome."""

import asyncio
import contextlib

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Retry, Router
from tests.worker_rig import Body, FakeClock, make_event, router_of, succeed, working, write


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
