"""What every Store promises; each engine is one factory."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import apsw
import pytest

from gateway.core.errors import PluginError, Unavailable
from gateway.keep.ports import AlreadyDone, StaleEvent, Store, Turn, Version
from tests.state_builders import NOW_US, FakeClock, in_memory, make_key, opened

SCHEMA = "create table if not exists invoice (id text primary key, amount integer)"
INSERT = "insert into invoice (id, amount) values (:id, :amount)"
COUNT = "select count(*) from invoice"
_names = itertools.count()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    file = opened(tmp_path / "state" / "billing.db", now_us=clock.now_us)
    async with file if request.param == "sqlite" else in_memory(clock.now_us) as state:
        state.store._monotonic = clock.monotonic
        await state.store.apply_schema(SCHEMA)
        yield state.store


async def begin(store: Store, name: str = "evt_1", *, version: Version | None = None, limit: float = 30.0) -> Turn:
    return await store.begin(make_key(name), version=version, attempt=1, limit=limit)


async def rows(store: Store) -> int:
    """Return the number of durable invoices, as a turn of its own sees them."""
    turn = await begin(store, f"probe_{next(_names)}")
    row = await turn.tx.fetch_one(COUNT)
    await turn.rollback()
    assert row is not None
    return int(row[0])


def version(value: int, key: str = "cus_1") -> Version:
    return Version("stripe", key, value)


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


async def test_one_turn_at_a_time_in_the_order_of_asking(store: Store) -> None:
    order = []

    async def run(name: str) -> None:
        turn = await begin(store, name)
        order.append(f"{name} in")
        await asyncio.sleep(0)
        order.append(f"{name} out")
        await turn.finish()

    await asyncio.gather(run("a"), run("b"), run("c"))

    assert order == ["a in", "a out", "b in", "b out", "c in", "c out"]


async def test_turn_over_its_limit_is_undone_and_revoked_and_the_next_begins(store: Store) -> None:
    late = await begin(store, "late", limit=0.01)
    await late.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    following = await begin(store, "following")
    await following.finish()

    with pytest.raises(TimeoutError):
        await late.tx.execute(INSERT, {"id": "in_2", "amount": 5})
    with pytest.raises(TimeoutError):
        late.finish()
    await late.rollback()
    assert set(await store.marked([make_key("late"), make_key("following")])) == {make_key("following")}
    assert await rows(store) == 0


async def test_statement_that_never_ends_is_aborted_at_the_limit(store: Store) -> None:
    turn = await begin(store, limit=0.05)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"

    with pytest.raises(apsw.InterruptError):
        await turn.tx.fetch_one(endless)

    await turn.rollback()
    assert await rows(store) == 0


async def test_endless_write_costs_its_group_whole_and_never_half(store: Store) -> None:
    first = await begin(store, "first")
    await first.tx.execute(INSERT, {"id": "in_1", "amount": 1})
    kept = first.finish()
    second = await begin(store, "second", limit=0.05)
    endless = "insert into invoice (id) with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"

    with pytest.raises(Unavailable):
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


async def test_cancelled_at_the_moment_of_the_grant_gives_the_turn_back(store: Store) -> None:
    holder = await begin(store, "holder")
    waiting = asyncio.ensure_future(begin(store, "waiting"))
    await asyncio.sleep(0)
    await holder.rollback()
    asyncio.get_running_loop().call_soon(waiting.cancel)

    with pytest.raises(asyncio.CancelledError):
        await waiting

    turn = await begin(store, "after")
    await turn.finish()
    assert await store.marked([make_key("waiting")]) == {}


async def test_failed_statement_leaves_the_turn_usable(store: Store) -> None:
    turn = await begin(store)
    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})

    with pytest.raises(apsw.ConstraintError):
        await turn.tx.execute(INSERT, {"id": "in_1", "amount": 6})
    await turn.tx.execute(INSERT, {"id": "in_2", "amount": 6})
    await turn.finish()

    assert await rows(store) == 2


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


@pytest.mark.parametrize(
    "statement",
    [
        "commit",
        "commit -- gateway",
        "/* x */ COMMIT",
        "rollback",
        "rollback -- gateway",
        "begin",
        "savepoint a",
        "release gateway_turn",
        "rollback to gateway_turn",
        "attach database ':memory:' as other",
        "detach database main",
        "pragma journal_mode",
        "pragma synchronous = off",
        "select * from gateway_mark",
        "delete from Gateway_Mark",
        "insert into gateway_cursor values (0, 99)",
        "update gateway_cursor set offset = 0",
        "drop table gateway_cursor",
        "select * from sqlite_master",
        "create table if not exists other (id)",
        "create temp table other (id)",
        "drop table invoice",
        "alter table invoice add column other",
        "insert into invoice (id) select dedupe_key from gateway_mark",
        "explain select * from gateway_mark",
    ],
)
async def test_statement_beyond_a_handlers_reach_is_refused(store: Store, statement: str) -> None:
    turn = await begin(store)

    with pytest.raises(PermissionError):
        await turn.tx.execute(statement)

    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    await turn.finish()
    assert await rows(store) == 1


async def test_drivers_own_connection_is_fenced_too_and_gone_with_the_turn(store: Store) -> None:
    turn = await begin(store)

    with pytest.raises(apsw.AuthError):
        turn.tx.connection.execute("commit")
    await turn.finish()

    with pytest.raises(RuntimeError):
        assert turn.tx.connection


@pytest.mark.parametrize(
    "statement, parameters, error",
    [
        ("select 1; select 2", {}, ValueError),
        ("", {}, ValueError),
        ("select :a + :b", {"a": 1}, ValueError),
        ("select ?", {"a": 1}, ValueError),
        ("select :a", {"a": object()}, TypeError),
        ("select :a", {"a": [1]}, TypeError),
        ("select :a", {"a": datetime(2026, 1, 1)}, TypeError),  # noqa: DTZ001 - the lack of a zone is the case
        ("select :a", {"a": 2**64}, OverflowError),
    ],
    ids=["two statements", "none", "missing", "positional", "object", "list", "naive time", "too big"],
)
async def test_wrong_call_is_told_what_is_wrong(
    store: Store, statement: str, parameters: dict[str, object], error: type[Exception]
) -> None:
    turn = await begin(store)

    with pytest.raises(error):
        await turn.tx.fetch_all(statement, parameters)

    await turn.rollback()


async def test_wrong_parameters_value_is_not_in_the_message(store: Store) -> None:
    turn = await begin(store)

    with pytest.raises(TypeError) as caught:
        await turn.tx.execute("select :a", {"a": ["s3cret"]})

    assert "s3cret" not in str(caught.value)
    await turn.rollback()


@pytest.mark.parametrize(
    "value, kept",
    [
        (None, None),
        (True, 1),
        (2.5, 2.5),
        (b"\x00\xff", b"\x00\xff"),
        ("a;b -- c", "a;b -- c"),
        (Decimal("1.10"), "1.10"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00+00:00"),
        (datetime(2026, 1, 2, tzinfo=UTC).date(), "2026-01-02"),
    ],
    ids=["none", "bool", "float", "bytes", "text", "decimal", "time", "date"],
)
async def test_parameter_is_kept_as_documented(store: Store, value: object, kept: object) -> None:
    turn = await begin(store)

    row = await turn.tx.fetch_one("select :value", {"value": value})

    assert row == (kept,)
    await turn.rollback()


@pytest.mark.parametrize(
    "statement, changed",
    [
        ("insert into invoice (id) values (:a), (:b)", 2),
        ("insert into invoice (id) values (:a), (:b) returning id", 2),
        ("update invoice set amount = 1", 0),
        ("select :a, :b", 0),
        ("insert into invoice (id) values (:a); -- and :b", 1),
    ],
    ids=["insert", "returning", "nothing fits", "query", "trailing comment"],
)
async def test_execute_returns_the_number_of_changed_rows(store: Store, statement: str, changed: int) -> None:
    turn = await begin(store)

    assert await turn.tx.execute(statement, {"a": "in_1", "b": "in_2"}) == changed

    await turn.rollback()


@pytest.mark.parametrize(
    "schema",
    [
        "create table thing (id)",
        "drop table if exists invoice",
        "insert into invoice (id) values ('x')",
        "create table if not exists gateway_thing (id)",
        "create index if not exists i on gateway_mark (outcome)",
        "create trigger if not exists t after insert on gateway_mark begin delete from invoice; end",
        "create view if not exists v as select * from gateway_mark; select * from v",
        "create table if not exists thing (id primary key on conflict rollback)",
        "create virtual table if not exists thing using fts5(a)",
        "create temp table if not exists thing (id)",
        "create table if not exists copy as select * from gateway_mark",
        "create table if not exists nonsense",
        "pragma user_version = 9",
    ],
)
async def test_schema_beyond_a_routers_reach_is_refused(store: Store, schema: str) -> None:
    with pytest.raises(PluginError):
        await store.apply_schema(schema)

    assert await rows(store) == 0


async def test_schema_creates_tables_indexes_views_and_triggers_and_may_come_again(store: Store) -> None:
    schema = """
        -- what we sell; and to whom
        create table if not exists sale (id integer primary key autoincrement, "a;b" text default ';');
        create unique index if not exists sale_by on sale ("a;b"); /* done; */
        create view if not exists sales as select count(*) as n from sale;
        create trigger if not exists sold after insert on sale begin
            insert into invoice (id) values (new.id); update invoice set amount = 1;
        end;
    """
    await store.apply_schema(schema)
    await store.apply_schema(schema)

    turn = await begin(store)
    await turn.tx.execute("insert into sale default values")
    await turn.finish()

    assert await rows(store) == 1


async def test_view_on_the_gateways_tables_reads_nothing(store: Store) -> None:
    with suppress(PluginError):
        await store.apply_schema("create view if not exists peek as select * from gateway_mark")
    turn = await begin(store)

    with pytest.raises((PermissionError, apsw.SQLError)):
        await turn.tx.fetch_all("select * from peek")

    await turn.rollback()


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
