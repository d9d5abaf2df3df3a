"""What a handler may say to its transaction, and a router in its schema, on every Store."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from gateway.core.errors import PluginError
from gateway.keep.ports import Store
from tests.contract.conftest import Engine
from tests.state_builders import INSERT, begin, rows


def spoken(sql: str, engine: Engine) -> str:
    catalogue = "sqlite_master" if engine.one_at_a_time else "gateway.version"
    return sql.format(own=engine.gateways, positional=engine.positional, catalogue=catalogue)


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
        "select * from {own}mark",
        "delete from {own}Mark",
        "insert into {own}cursor values (0, 99)",
        "update {own}cursor set offset = 0",
        "drop table {own}cursor",
        "select * from {catalogue}",
        "create table if not exists other (id)",
        "create temp table other (id)",
        "drop table invoice",
        "alter table invoice add column other",
        "insert into invoice (id) select dedupe_key from {own}mark",
        "explain select * from {own}mark",
    ],
)
async def test_statement_beyond_a_handlers_reach_is_refused(store: Store, engine: Engine, statement: str) -> None:
    turn = await begin(store)

    with pytest.raises(PermissionError):
        await turn.tx.execute(spoken(statement, engine))

    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    await turn.finish()
    assert await rows(store) == 1


async def test_drivers_own_connection_is_fenced_too_and_gone_with_the_turn(store: Store, engine: Engine) -> None:
    turn = await begin(store)

    with pytest.raises(engine.fenced):
        await engine.commit(turn.tx.connection)
    await turn.finish()

    with pytest.raises(RuntimeError):
        assert turn.tx.connection


@pytest.mark.parametrize(
    "statement, parameters, error",
    [
        ("select 1; select 2", {}, ValueError),
        ("", {}, ValueError),
        ("select :a + :b", {"a": 1}, ValueError),
        ("select {positional}", {"a": 1}, ValueError),
        ("select :a", {"a": object()}, TypeError),
        ("select :a", {"a": [1]}, TypeError),
        ("select :a", {"a": datetime(2026, 1, 1)}, TypeError),  # noqa: DTZ001 - the lack of a zone is the case
        ("select :a", {"a": 2**64}, OverflowError),
    ],
    ids=["two statements", "none", "missing", "positional", "object", "list", "naive time", "too big"],
)
async def test_wrong_call_is_told_what_is_wrong(
    store: Store, engine: Engine, statement: str, parameters: dict[str, object], error: type[Exception]
) -> None:
    turn = await begin(store)

    with pytest.raises(error):
        await turn.tx.fetch_all(spoken(statement, engine), parameters)

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
        "create table if not exists {own}thing (id)",
        "create index if not exists i on {own}mark (outcome)",
        "create trigger if not exists t after insert on {own}mark begin delete from invoice; end",
        "create view if not exists v as select * from {own}mark; select * from v",
        "create table if not exists thing (id primary key on conflict rollback)",
        "create virtual table if not exists thing using fts5(a)",
        "create temp table if not exists thing (id)",
        "create table if not exists copy as select * from {own}mark",
        "create table if not exists nonsense",
        "pragma user_version = 9",
    ],
)
async def test_schema_beyond_a_routers_reach_is_refused(store: Store, engine: Engine, schema: str) -> None:
    with pytest.raises(PluginError):
        await store.apply_schema(spoken(schema, engine))

    assert await rows(store) == 0


async def test_schema_creates_tables_indexes_views_and_triggers_and_may_come_again(
    store: Store, engine: Engine
) -> None:
    await store.apply_schema(engine.rich_schema)
    await store.apply_schema(engine.rich_schema)

    turn = await begin(store)
    await turn.tx.execute("insert into sale default values")
    await turn.finish()

    assert await rows(store) == 1


async def test_view_on_the_gateways_tables_reads_nothing(store: Store, engine: Engine) -> None:
    with suppress(PluginError):
        await store.apply_schema(f"{engine.view} peek as select * from {engine.gateways}mark")
    turn = await begin(store)

    with pytest.raises((PermissionError, engine.unknown_table)):
        await turn.tx.fetch_all("select * from peek")

    await turn.rollback()
