"""The Postgres store while its server, its connections or another worker fail it: it says so in time, and goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from gateway.core.errors import Unavailable
from gateway.keep.ports import Turn, Version
from gateway.keep.postgres import connection as reached
from gateway.keep.postgres.connection import Pool
from gateway.keep.postgres.store import PostgresStore
from tests.postgres_builders import durably, execute, opened_pool, opened_store, run
from tests.postgres_rig import PASSWORD, PostgresServer
from tests.postgres_state_builders import eventually
from tests.state_builders import INSERT, NOW_US, SCHEMA, begin, make_key, rows
from tests.tcp_proxy import TcpProxy

SOON = 1.0
SLOW_COMMIT = """
    create or replace function slowly() returns trigger language plpgsql as
        $$ begin perform pg_sleep(60); return null; end; $$;
    create table if not exists slow (id integer);
"""
SLOW_TRIGGER = (
    "create constraint trigger slow after insert on slow deferrable initially deferred"
    " for each row execute function slowly()"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached.Connection, "patience", SOON)
    monkeypatch.setattr(reached, "WAIT_SECONDS", 3 * SOON)
    monkeypatch.setattr(reached, "CANCEL_SECONDS", SOON / 2)


@pytest.fixture
async def pool(migrated_database: str) -> AsyncIterator[Pool]:
    async with opened_pool(f"{migrated_database}?connect_timeout=2") as pool:
        yield pool


@pytest.fixture
async def store(pool: Pool) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(pool, router="billing", now_us=lambda: NOW_US)
    await store.apply_schema(SCHEMA)
    yield store
    await store.close()


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[TcpProxy]:
    with TcpProxy(postgres.port) as proxy:
        yield proxy


def pid_of(turn: Turn) -> int:
    return turn._connection.pgconn.backend_pid  # type: ignore[attr-defined, no-any-return]


def questions(store: PostgresStore) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return all that is asked of a store."""
    return {
        "begin": lambda: begin(store, "asked"),
        "mark": lambda: store.mark(make_key("other"), "done", version=None, attempt=1),
        "marked": lambda: store.marked([make_key()]),
        "newest": lambda: store.newest("record", Version("stripe", "k", 1)),
        "new name": lambda: store.newest("unheard-of", Version("stripe", "k", 1)),
        "expire": lambda: store.expire(NOW_US, 10),
        "apply_schema": lambda: store.apply_schema(SCHEMA),
    }


async def ask_all(store: PostgresStore) -> dict[str, str]:
    asked = questions(store)
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(ask() for ask in asked.values()), return_exceptions=True)
    return {name: repr(outcome) for name, outcome in zip(asked, found, strict=True)}


async def answered(store: PostgresStore) -> None:
    for ask in questions(store).values():
        given = await durably(ask)
        if hasattr(given, "rollback"):
            await given.rollback()


# The server


@pytest.mark.timeout(180)
async def test_everything_is_refused_in_time_while_the_server_stands_still_and_works_afterwards(
    store: PostgresStore, postgres: PostgresServer
) -> None:
    await store.mark(make_key(), "done", version=None, attempt=1)
    held, finished = await begin(store, "held", limit=SOON), await begin(store, "finished")
    postgres.freeze()
    statement = held.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    async with asyncio.timeout(60):
        refused, *ended = await asyncio.gather(ask_all(store), finished.finish(), statement, return_exceptions=True)
    postgres.thaw()

    assert refused == dict.fromkeys(questions(store), "Unavailable('store_down')")
    assert [repr(outcome) for outcome in ended] == ["Unavailable('store_down')"] * 2
    await answered(store)
    assert await store.marked([make_key(), make_key("held")]) == {make_key(): "done"}


async def test_handler_cancelled_before_a_server_that_stands_still_ends_soon(
    store: PostgresStore, postgres: PostgresServer
) -> None:
    turn = await begin(store)
    postgres.freeze()
    statement = asyncio.ensure_future(turn.tx.execute(INSERT, {"id": "in_1", "amount": 5}))
    opening = asyncio.ensure_future(begin(store, "other"))
    await asyncio.sleep(0.1)

    statement.cancel()
    opening.cancel()
    async with asyncio.timeout(30):
        ended = await asyncio.gather(statement, opening, return_exceptions=True)
        await turn.rollback()
    postgres.thaw()

    assert [type(outcome) for outcome in ended] == [asyncio.CancelledError] * 2
    assert await run(store) == "done"


@pytest.mark.timeout(180)
async def test_everything_is_refused_while_the_server_is_away_and_works_when_it_is_back(
    store: PostgresStore, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    turn = await begin(store)
    await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    postgres.kill()

    with pytest.raises(Unavailable, match="store_down"):
        await turn.finish()
    refused = await ask_all(store)
    postgres.start()

    assert refused == dict.fromkeys(questions(store), "Unavailable('store_down')")
    await answered(store)
    assert (await run(store), await rows(store)) == ("done", 1)
    assert PASSWORD not in caplog.text


async def test_restart_between_two_runs_is_noticed_by_none(store: PostgresStore, postgres: PostgresServer) -> None:
    turns = [await begin(store, f"evt_{number}") for number in range(5)]
    await asyncio.gather(*(turn.finish() for turn in turns))
    postgres.stop()
    postgres.start()

    again = await asyncio.gather(*(begin(store, f"evt_{number}") for number in range(5, 10)))

    await asyncio.gather(*(turn.finish() for turn in again))
    assert len(await store.marked([make_key(f"evt_{number}") for number in range(10)])) == 10


async def test_closing_before_a_server_that_stands_still_ends(migrated_database: str, postgres: PostgresServer) -> None:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(f"{migrated_database}?connect_timeout=2"))
        turn = await begin(store)
        postgres.freeze()
        committed, marked = turn.finish(), store.mark(make_key("other"), "done", version=None, attempt=1)
        async with asyncio.timeout(60):
            await stack.aclose()
        postgres.thaw()

    assert isinstance(committed.exception(), Unavailable)
    assert isinstance(marked.exception(), Unavailable)


# Connections


async def test_lost_connection_costs_its_turn_alone(store: PostgresStore, migrated_database: str) -> None:
    lost, kept = await begin(store, "lost"), await begin(store, "kept")
    await lost.tx.execute(INSERT, {"id": "lost", "amount": 5})
    execute(migrated_database, "select pg_terminate_backend(%s)", pid_of(lost))

    with pytest.raises(Unavailable, match="store_down"):
        await lost.tx.execute(INSERT, {"id": "again", "amount": 5})
    with pytest.raises(Unavailable, match="store_down"):
        lost.finish()
    await kept.finish()

    assert set(await store.marked([make_key("lost"), make_key("kept")])) == {make_key("kept")}
    assert (await run(store, "lost"), await rows(store)) == ("done", 1)


async def test_commit_whose_outcome_is_unknown_is_unavailable_and_left_nothing_if_it_did_not_happen(
    store: PostgresStore, migrated_database: str
) -> None:
    await store.apply_schema(SLOW_COMMIT)
    execute(migrated_database, SLOW_TRIGGER)
    turn = await begin(store, limit=60.0)
    await turn.tx.execute("insert into slow (id) values (1)")
    committing = turn.finish()
    sleeping = "select exists (select from pg_stat_activity where wait_event = 'PgSleep' and pid = %s)"
    await eventually(lambda: execute(migrated_database, sleeping, pid_of(turn)))

    execute(migrated_database, "select pg_terminate_backend(%s)", pid_of(turn))

    with pytest.raises(Unavailable) as unknown:
        await committing
    assert unknown.value.written is None
    assert await durably(lambda: store.marked([make_key()])) == {}


async def test_commit_whose_answer_is_lost_is_met_by_the_next_run(
    store: PostgresStore, migrated_database: str, postgres: PostgresServer, proxy: TcpProxy
) -> None:
    async with opened_store(migrated_database.replace(f":{postgres.port}/", f":{proxy.port}/")) as far:
        turn = await begin(far)
        await turn.tx.execute(INSERT, {"id": "in_1", "amount": 5})
        proxy.swallow_answers()
        committing = turn.finish()
        await eventually(lambda: execute(migrated_database, "select exists (select from invoice)"))
        proxy.cut()
        proxy.pass_on()

        with pytest.raises(Unavailable) as unknown:
            await committing
        assert unknown.value.written is None
        assert (await run(far), await rows(store)) == ("duplicate", 1)


async def test_group_of_marks_whose_connection_is_lost_is_refused_and_may_be_asked_again(
    store: PostgresStore, migrated_database: str, postgres: PostgresServer, proxy: TcpProxy
) -> None:
    keys = [make_key(f"evt_{number}") for number in range(50)]
    async with opened_store(migrated_database.replace(f":{postgres.port}/", f":{proxy.port}/")) as far:
        await far.mark(make_key("known"), "done", version=None, attempt=1)
        proxy.swallow_answers()
        marks = [far.mark(key, "done", version=None, attempt=1) for key in keys]
        await eventually(lambda: execute(migrated_database, "select count(*) = 51 from gateway.mark"))
        proxy.cut()
        proxy.pass_on()

        refused = await asyncio.gather(*marks, return_exceptions=True)
        await asyncio.gather(
            *(durably(lambda key=key: far.mark(key, "stale", version=None, attempt=1)) for key in keys)  # type: ignore[misc]
        )

    assert {repr(outcome) for outcome in refused} == {"Unavailable('store_down')"}
    assert await store.marked(keys) == dict.fromkeys(keys, "done")


async def test_exhausted_pool_is_waited_for_and_then_given_up(migrated_database: str) -> None:
    async with opened_store(migrated_database, most=1) as store:
        await store.apply_schema(SCHEMA)
        await run(store)
        holder = await begin(store, "holder", limit=60.0)

        refused = await ask_all(store)
        waiting = asyncio.ensure_future(begin(store, "waiting"))
        await holder.finish()
        await (await waiting).finish()

        assert refused == dict.fromkeys(questions(store), "Unavailable('store_down')")
        assert len(await store.marked([make_key("holder"), make_key("waiting")])) == 2


async def test_connection_that_a_handler_kept_is_of_no_use_after_its_turn(store: PostgresStore) -> None:
    turn = await begin(store)
    kept = turn.tx.connection
    await kept.execute("insert into invoice (id) values ('in_1')")
    await turn.finish()

    with pytest.raises(psycopg.OperationalError):
        await kept.execute("delete from invoice")
    assert await rows(store) == 1


async def test_commit_waits_for_the_disk_whatever_the_database_is_set_to(
    migrated_database: str, postgres: PostgresServer
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(migrated_database)["dbname"]
    postgres.execute("alter database {} set synchronous_commit = off", str(name))

    async with opened_pool(migrated_database) as pool, pool.connection() as connection:
        shown = await connection.execute("show synchronous_commit")
        assert await shown.fetchone() == ("on",)
