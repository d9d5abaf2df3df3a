"""What every Store promises; each engine is one factory."""

import asyncio
import itertools
from contextlib import suppress

import pytest

from gateway.core.errors import Unavailable
from gateway.keep.ports import AlreadyDone, StaleEvent, Store, Turn, Version
from tests.contract.conftest import Engine
from tests.state_builders import INSERT, NOW_US, FakeClock, begin, make_key, rows

_names = itertools.count()


def version(value: int, key: str = "cus_1") -> Version:
    return Version("stripe", key, value)


async def use_until_over(turn: Turn) -> None:
    """Use the turn until it says why it is over."""
    while True:
        await turn.tx.fetch_one("select 1")
        await asyncio.sleep(0)


async def test_mark_is_found_with_its_outcome_once_its_future_completes(store: Store) -> None:
    await store.mark(make_key("evt_1"), "stale", version=None, attempt=1)

    found = await store.marked([make_key("evt_1"), make_key("evt_2"), make_key("evt_1", handler="other")])

    assert found == {make_key("evt_1"): "stale"}


async def test_second_mark_of_a_pair_leaves_the_first(store: Store) -> None:
    await store.mark(make_key(), "done", version=None, attempt=1)

    await store.mark(make_key(), "stale", version=None, attempt=2)

    assert await store.marked([make_key()]) == {make_key(): "done"}


async def test_finished_turn_leaves_mark_and_row(store: Store) -> None:
    turn = await begin(store)
    changed = await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    await turn.finish()

    assert changed == 1
    assert await store.marked([make_key()]) == {make_key(): "done"}
    assert await rows(store) == 1


async def test_rolled_back_turn_leaves_neither_mark_nor_row(store: Store) -> None:
    turn = await begin(store)
    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    await turn.rollback()

    assert await store.marked([make_key()]) == {}
    assert await rows(store) == 0


async def test_begin_of_a_marked_pair_is_already_done(store: Store) -> None:
    await store.mark(make_key(), "done", version=None, attempt=1)

    with pytest.raises(AlreadyDone):
        await begin(store)


async def test_forced_replay_has_a_mark_of_its_own(store: Store) -> None:
    await store.mark(make_key(), "done", version=None, attempt=1)

    turn = await store.begin(make_key(replay="rp_1"), version=None, attempt=1, limit=1.0)
    await turn.finish()

    assert len(await store.marked([make_key(), make_key(replay="rp_1")])) == 2


async def test_two_concurrent_runs_of_one_pair_leave_one_row(store: Store) -> None:
    async def run() -> str:
        try:
            turn = await begin(store)
        except AlreadyDone:
            return "duplicate"
        await asyncio.sleep(0)
        await turn.tx.execute("insert into invoice (id) values (:id)", {"id": str(next(_names))})
        await turn.finish()
        return "done"

    outcomes = await asyncio.gather(run(), run())

    assert sorted(outcomes) == ["done", "duplicate"]
    assert await rows(store) == 1


async def test_mark_of_an_open_turn_is_not_told_before_it_is_durable(store: Store) -> None:
    turn = await begin(store)
    asked = asyncio.ensure_future(store.marked([make_key()]))
    await asyncio.sleep(0)

    await turn.rollback()

    assert await asked == {}


async def test_turns_come_one_at_a_time_in_the_order_of_asking_or_all_side_by_side(
    store: Store, engine: Engine
) -> None:
    order = []
    all_in = asyncio.Barrier(1 if engine.one_at_a_time else 3)

    async def run(name: str) -> None:
        turn = await begin(store, name)
        order.append(f"{name} in")
        await asyncio.sleep(0)
        await all_in.wait()
        order.append(f"{name} out")
        await turn.finish()

    async with asyncio.timeout(30):
        await asyncio.gather(run("a"), run("b"), run("c"))

    if engine.one_at_a_time:
        assert order == ["a in", "a out", "b in", "b out", "c in", "c out"]
    assert set(await store.marked([make_key(name) for name in "abc"])) == {make_key(name) for name in "abc"}


async def test_rows_of_an_open_turn_are_seen_by_no_other(store: Store) -> None:
    first = await begin(store, "first")
    await first.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    asked = asyncio.ensure_future(rows(store))
    await asyncio.sleep(0)

    await first.rollback()

    assert await asked == 0


async def test_turn_over_its_limit_is_undone_and_revoked_and_the_next_begins(store: Store, engine: Engine) -> None:
    late = await begin(store, "late", limit=0.01 if engine.one_at_a_time else 0.5)
    with suppress(TimeoutError):  # where a statement waits for a server, it may be over by then
        await late.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    following = await begin(store, "following")
    await following.finish()

    if not engine.one_at_a_time:
        with pytest.raises(TimeoutError, match="tx_timeout"):
            async with asyncio.timeout(30):
                await use_until_over(late)
    with pytest.raises(TimeoutError):
        await late.tx.execute(INSERT, {"id": "in_2", "amount": 5})
    with pytest.raises(TimeoutError):
        late.finish()
    await late.rollback()
    assert set(await store.marked([make_key("late"), make_key("following")])) == {make_key("following")}
    assert await rows(store) == 0


async def test_statement_that_never_ends_is_aborted_at_the_limit(store: Store, engine: Engine) -> None:
    turn = await begin(store, limit=0.05)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"

    with pytest.raises(engine.interrupted):
        await turn.tx.fetch_one(endless)

    await turn.rollback()
    assert await rows(store) == 0


async def test_endless_write_costs_its_group_whole_and_never_half(store: Store) -> None:
    first = await begin(store, "first")
    await first.tx.execute(INSERT, {"id": "in_1", "amount": 1})
    kept = first.finish()
    second = await begin(store, "second", limit=0.05)
    endless = "insert into invoice (id) with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"

    with pytest.raises(TimeoutError):
        await second.tx.execute(endless)

    with suppress(Unavailable):
        await kept
    both = await store.marked([make_key("first"), make_key("second")])
    assert make_key("second") not in both
    assert await rows(store) == len(both)
    assert (kept.exception() is None) == (len(both) == 1)


async def test_used_turn_is_over(store: Store) -> None:
    turn = await begin(store)
    await turn.finish()

    with pytest.raises(RuntimeError):
        await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})


async def test_waiting_for_a_turn_can_be_cancelled(store: Store) -> None:
    holder = await begin(store, "holder")
    waiting = asyncio.ensure_future(begin(store, "waiting"))
    await asyncio.sleep(0)

    waiting.cancel()
    await holder.finish()

    turn = await begin(store, "after")
    await turn.finish()
    assert set(await store.marked([make_key("waiting"), make_key("after")])) == {make_key("after")}


async def test_cancelled_at_the_moment_of_the_grant_gives_the_turn_back(store: Store, engine: Engine) -> None:
    pair = "waiting" if engine.one_at_a_time else "holder"  # else only a run of the same pair waits
    holder = await begin(store, "holder")
    waiting = asyncio.ensure_future(begin(store, pair))
    await asyncio.sleep(0)
    await holder.rollback()
    asyncio.get_running_loop().call_soon(waiting.cancel)

    (granted,) = await asyncio.gather(waiting, return_exceptions=True)

    if not engine.one_at_a_time and not isinstance(granted, BaseException):
        await granted.rollback()  # the server's grant was quicker
    else:
        assert isinstance(granted, asyncio.CancelledError)
    turn = await begin(store, pair)
    await turn.rollback()
    assert await store.marked([make_key(pair)]) == {}


async def test_failed_statement_leaves_the_turn_usable(store: Store, engine: Engine) -> None:
    turn = await begin(store)
    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    with pytest.raises(engine.failed):
        await turn.tx.execute(INSERT, {"id": "in_1", "amount": 6})
    await turn.tx.execute(INSERT, {"id": "in_2", "amount": 6})
    await turn.finish()

    assert await rows(store) == 2


async def test_swallowed_failure_of_the_last_statement_costs_the_earlier_ones_nothing(
    store: Store, engine: Engine
) -> None:
    turn = await begin(store)
    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    await turn.tx.execute(INSERT, {"id": "in_2", "amount": 5})
    with suppress(engine.failed):
        await turn.tx.execute(INSERT, {"id": "in_1", "amount": 6})

    await turn.finish()

    assert await rows(store) == 2
    assert await store.marked([make_key()]) == {make_key(): "done"}


async def test_strictly_older_event_is_stale_and_leaves_no_mark(store: Store) -> None:
    newer = await begin(store, "newer", version=version(20))
    await newer.finish()

    with pytest.raises(StaleEvent):
        await begin(store, "older", version=version(19))

    assert await store.marked([make_key("older")]) == {}


@pytest.mark.parametrize(
    "next_version",
    [version(20), version(21), version(1, key="cus_2"), Version("other", "cus_1", 1)],
    ids=["equal", "newer", "another key", "another source"],
)
async def test_event_that_is_not_older_runs(store: Store, next_version: Version) -> None:
    await store.mark(make_key("first"), "done", version=version(20), attempt=1)

    turn = await begin(store, "next", version=next_version)
    await turn.finish()

    assert await store.newest("record", next_version) == next_version.value


async def test_guard_of_an_undone_turn_is_undone(store: Store) -> None:
    turn = await begin(store, "newer", version=version(20))
    await turn.rollback()

    older = await begin(store, "older", version=version(19))
    await older.finish()

    assert await store.newest("record", version(0)) == 19


async def test_mark_moves_the_guard_forward_and_never_back(store: Store) -> None:
    await store.mark(make_key("a"), "done", version=version(20), attempt=1)
    await store.mark(make_key("b"), "done", version=version(10), attempt=1)

    assert await store.newest("record", version(0)) == 20
    assert await store.newest("nobody", version(0)) is None


async def test_expiry_removes_old_marks_up_to_its_limit(store: Store, clock: FakeClock) -> None:
    keys = [make_key(f"evt_{number}") for number in range(5)]
    for key in keys:
        await store.mark(key, "done", version=None, attempt=1)
        clock.pass_seconds(1)

    removed = [await store.expire(NOW_US + 3_000_000, 2), await store.expire(NOW_US + 3_000_000, 2)]

    assert removed == [2, 1]
    assert set(await store.marked(keys)) == set(keys[3:])


async def test_expiry_removes_old_guards_too(store: Store, clock: FakeClock) -> None:
    await store.mark(make_key(), "done", version=version(20), attempt=1)
    clock.pass_seconds(10)

    await store.expire(clock.us, 10)

    assert await store.newest("record", version(0)) is None


async def test_clock_that_jumps_expires_nothing_more_than_time_passed(store: Store, clock: FakeClock) -> None:
    await store.expire(NOW_US - 10_000_000, 100)
    await store.mark(make_key(), "done", version=None, attempt=1)

    removed = await store.expire(NOW_US + 10**15, 100)
    clock.pass_seconds(60)
    later = await store.expire(NOW_US + 10**15, 100)

    assert (removed, later) == (0, 1)


async def test_closing_waits_for_what_is_queued(store: Store) -> None:
    future = store.mark(make_key(), "done", version=None, attempt=1)

    await store.close()

    assert future.done()
