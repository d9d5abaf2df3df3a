"""The shipped handlers, and one of each kind of statement, on Postgres: they leave what they leave on SQLite."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from gateway import Backoff, Context, Event, Router
from gateway.testing import Delivery, Memory, Result, make_event, received, run
from handlers import audit, billing, github_push
from tests.postgres_builders import opened_store
from tests.state_builders import make_key

INVOICE = {"id": "in_1", "customer": "cus_1", "amount_due": 9_000_000_000, "amount_paid": 0, "currency": "eur"}
AT_US = 1_700_000_000_123_456


def stripe(event_id: str, kind: str, status: str, created: int, **over: object) -> Event:
    body = {"id": event_id, "type": kind, "created": created, "data": {"object": {**INVOICE, "status": status, **over}}}
    (event,) = received("stripe", body)
    return event


def pushed(delivery: str) -> Event:
    body = {
        "ref": "refs/heads/main",
        "after": delivery * 8,
        "commits": [{}, {}],
        "pusher": {"name": "mona"},
        "repository": {"id": 3, "full_name": "octocat/hello-world"},
    }
    (event,) = received("github", body, Delivery(event_type="push", event_id=delivery, now_us=AT_US))
    return event


INVOICES = (
    stripe("evt_1", "invoice.created", "draft", 1_700_000_000),
    stripe("evt_3", "invoice.paid", "paid", 1_700_000_200, amount_paid=9_000_000_000),
    stripe("evt_2", "invoice.finalized", "open", 1_700_000_100),
    stripe("evt_3", "invoice.paid", "paid", 1_700_000_200, amount_paid=9_000_000_000),
)
PUSHES = (pushed("a"), pushed("b"), pushed("a"))
ANY = (*INVOICES, make_event(source="acme", type="unknown", body=b"\xff not json", flags=("opaque",), time_us=None))


@asynccontextmanager
async def on_postgres(dsn: str, router: Router) -> AsyncIterator[Memory]:
    """Return what `gateway.testing` runs handlers on, with its store in Postgres."""
    async with opened_store(dsn, router=router.name) as store:
        memory = Memory(router)
        memory.state.store = store  # type: ignore[assignment]
        async with memory:
            yield memory


async def outcomes(memory: Memory, router: Router, events: Sequence[Event]) -> list[str]:
    results: list[Result] = []
    for event in events:
        results += await run(router, event, store=memory)
    return [result.outcome for result in results]


@pytest.mark.parametrize(
    "router, events, rows, left",
    [
        (billing.router, INVOICES, "select id, customer, status, amount_due, amount_paid, currency from invoice", 1),
        (github_push.router, PUSHES, "select id, repository, ref, head, commits, pusher, received_at from push", 2),
        (audit.router, ANY, "select source, id, type, received_at, bytes, flags from audit order by id", 4),
    ],
    ids=["billing", "github_push", "audit"],
)
async def test_shipped_handlers_leave_the_same_rows_as_on_sqlite(
    migrated_database: str, router: Router, events: Sequence[Event], rows: str, left: int
) -> None:
    async with Memory(router) as memory:
        expected = await outcomes(memory, router, events), await memory.rows(rows)

    async with on_postgres(migrated_database, router) as memory:
        found = await outcomes(memory, router, events), await memory.rows(rows)

    assert found == expected
    assert len(found[1]) == left


async def test_shipped_schemas_are_applied_again_while_their_tables_are_in_use(migrated_database: str) -> None:
    async with on_postgres(migrated_database, github_push.router) as memory, opened_store(migrated_database) as other:
        turn = await memory.state.store.begin(make_key(), version=None, attempt=1, limit=120.0)
        await turn.tx.execute("update push set pusher = 'someone'")

        async with asyncio.timeout(20):
            await other.apply_schema(github_push.SCHEMA)

        await turn.rollback()


async def test_tables_of_handlers_are_not_among_the_gateways(migrated_database: str) -> None:
    """The role is named as the gateway's schema is, so that the server would look there first."""
    async with on_postgres(migrated_database, audit.router) as memory:
        await outcomes(memory, audit.router, ANY)

    with psycopg.connect(migrated_database) as connection:
        where = connection.execute("select schemaname from pg_tables where tablename = 'audit'").fetchall()
    assert where == [("public",)]


async def test_tables_are_where_the_dsn_says(migrated_database: str) -> None:
    with psycopg.connect(migrated_database) as connection:
        connection.execute("create schema app")
    dsn = f"{migrated_database}?options=-csearch_path%3Dgateway,app"

    async with on_postgres(dsn, audit.router) as memory:
        await outcomes(memory, audit.router, ANY)

    with psycopg.connect(migrated_database) as connection:
        assert connection.execute("select count(*) from app.audit").fetchone() == (4,)


VALUES: list[tuple[str, object, object]] = [
    ("timestamptz", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
    ("date", date(2026, 1, 2), date(2026, 1, 2)),
    ("numeric", Decimal("1.10"), Decimal("1.10")),
    ("uuid", UUID(int=7), UUID(int=7)),
    ("text", UUID(int=7), str(UUID(int=7))),
    ("text", Decimal("1.10"), "1.10"),
    ("text", datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ("text", 5, "5"),
    ("text", "é\u2028'\\", "é\u2028'\\"),
    ("boolean", True, True),
    ("bigint", 2**62, 2**62),
    ("double precision", 0.1, 0.1),
    ("bytea", b"\x00\xff", b"\x00\xff"),
    ("jsonb", '{"a": [1]}', {"a": [1]}),
    ("integer", None, None),
]


@pytest.mark.parametrize(
    "kind, value, kept", VALUES, ids=[f"{kind}-{type(value).__name__}" for kind, value, _ in VALUES]
)
async def test_value_takes_the_type_of_the_column_where_it_stands(
    migrated_database: str, kind: str, value: object, kept: object
) -> None:
    router = Router("typed", schema=f"create table if not exists typed (value {kind})")

    @router.on("*", name="keep")
    async def keep(event: Event, ctx: Context) -> None:
        await ctx.tx.execute("insert into typed (value) values (:value)", {"value": value})

    async with on_postgres(migrated_database, router) as memory:
        assert await outcomes(memory, router, [make_event()]) == ["done"]
        assert await memory.rows("select value from typed") == [(kept,)]


async def test_text_that_postgres_cannot_hold_is_the_handlers_failure(migrated_database: str) -> None:
    router = Router("texts", schema="create table if not exists texts (value text)")

    @router.on("*", name="keep", retry=Backoff(attempts=1))
    async def keep(event: Event, ctx: Context) -> None:
        await ctx.tx.execute("insert into texts (value) values (:value)", {"value": event.json()["text"]})

    async with on_postgres(migrated_database, router) as memory:
        (nul,) = await run(router, make_event(body={"text": "a\0b"}), store=memory)
        (half,) = await run(router, make_event(body=b'{"text": "\\ud800"}', id="evt_2"), store=memory)

    assert (nul.outcome, half.outcome) == ("dead", "dead")
    assert nul.error == "ValueError: parameter :value is a text with a NUL, which Postgres cannot hold"


async def test_deferred_constraint_that_fails_at_commit_is_the_handlers_failure(migrated_database: str) -> None:
    schema = """
        create table if not exists owner (id text primary key);
        create table if not exists thing (owner text references owner deferrable initially deferred);
    """
    router = Router("deferred", schema=schema)

    @router.on("*", name="keep", retry=Backoff(attempts=1))
    async def keep(event: Event, ctx: Context) -> None:
        await ctx.tx.execute("insert into thing (owner) values ('nobody')")

    async with on_postgres(migrated_database, router) as memory:
        (result,) = await run(router, make_event(), store=memory)

        assert (result.outcome, result.error.partition(":")[0]) == (
            "dead",
            "psycopg.errors.ForeignKeyViolation",
        )
        assert await memory.rows("select * from thing") == []


Use = Callable[[Any], Any]


async def copy_rows(connection: psycopg.AsyncConnection) -> None:
    async with connection.cursor().copy("copy thing (n) from stdin") as copy:
        await copy.write(b"1\n2\n")


async def fail_and_go_on(connection: psycopg.AsyncConnection) -> None:
    with suppress(psycopg.Error):
        await connection.execute("select 1 / 0")


async def commit_in_text(connection: psycopg.AsyncConnection) -> None:
    await connection.execute("commit")


@pytest.mark.parametrize(
    "use, outcome, rows",
    [(copy_rows, "done", 3), (fail_and_go_on, "dead", 0), (commit_in_text, "dead", 1)],
    ids=["copy", "swallowed failure", "commit"],
)
async def test_drivers_own_connection_is_of_use_and_its_misuse_is_told(
    migrated_database: str, use: Use, outcome: str, rows: int
) -> None:
    router = Router("raw", schema="create table if not exists thing (n integer)")

    @router.on("*", name="keep", retry=Backoff(attempts=1))
    async def keep(event: Event, ctx: Context) -> None:
        await ctx.tx.execute("insert into thing (n) values (0)")
        await use(ctx.tx.connection)

    async with on_postgres(migrated_database, router) as memory:
        (result,) = await run(router, make_event(), store=memory)

        assert result.outcome == outcome
        assert outcome == "done" or "ctx.tx.connection" in result.error
        assert len(await memory.rows("select * from thing")) == rows
