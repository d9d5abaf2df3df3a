"""Which pairs are the same: poisoned ids, records that cannot be read, renamed handlers, a log read again."""

from collections.abc import Mapping, Sequence

import pytest

from gateway.api import Backoff, Context, Event, GiveUp, Retry, Router
from gateway.core.errors import Unavailable
from gateway.core.event import Flag
from gateway.handle.equipment import WorkerSettings
from gateway.keep.ports import MarkKey
from tests.worker_rig import AT_ONCE, FakeClock, ListLog, Rig, make_event, router_of, succeed, working

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


async def test_a_copy_waits_for_a_store_that_is_away_when_it_looks_whether_the_first_is_done() -> None:
    rig = Rig(router_of(succeed))
    asked, marked = 0, rig.state.store.marked

    async def marked_but_once(keys: Sequence[MarkKey]) -> Mapping[MarkKey, str]:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Unavailable("store_down")
        return await marked(keys)

    rig.state.store.marked = marked_but_once  # type: ignore[method-assign]
    rig.put(make_event(1), make_event(1))
    rig.start()
    await rig.until_committed()
    await rig.stop()
    await rig.state.close()

    assert asked == 3
    assert rig.meter.runs == {("h", "done"): 1, ("h", "duplicate"): 1}


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
