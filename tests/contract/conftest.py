"""The stores that the contract of `Store` is run on; each engine is one factory, and one dialect of SQL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from gateway.keep.ports import Store
from tests.postgres_builders import opened_store
from tests.state_builders import SCHEMA, FakeClock, in_memory, opened

Opened = AbstractAsyncContextManager[Store]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What differs from engine to engine in the words, never in what is promised.

    Attributes:
        one_at_a_time: turns come one after the other, in the order of asking; else each has its own connection.
        failed, interrupted, fenced, unknown_table: the errors of a constraint, of a statement that was stopped, of a
            COMMIT on the driver's connection, and of a table that is not there.
        gateways: what the gateway's own tables begin with.
        positional: a parameter without a name.
        view, trigger: how to create one that may be there.
    """

    name: str
    one_at_a_time: bool
    failed: type[Exception]
    interrupted: type[Exception]
    fenced: type[Exception]
    unknown_table: type[Exception]
    gateways: str
    positional: str
    view: str
    commit: Callable[[Any], Awaitable[None]]
    rich_schema: str


async def _commit_at_once(connection: apsw.Connection) -> None:
    connection.execute("commit")


async def _commit(connection: psycopg.AsyncConnection) -> None:
    await connection.commit()


_SQLITE_SCHEMA = """
    -- what we sell; and to whom
    create table if not exists sale (id integer primary key autoincrement, "a;b" text default ';');
    create unique index if not exists sale_by on sale ("a;b"); /* done; */
    create view if not exists sales as select count(*) as n from sale;
    create trigger if not exists sold after insert on sale begin
        insert into invoice (id) values (new.id); update invoice set amount = 1;
    end;
"""
_POSTGRES_SCHEMA = """
    -- what we sell; and to whom
    create table if not exists sale (id integer generated always as identity primary key, "a;b" text default ';');
    create unique index if not exists sale_by on sale ("a;b"); /* done; /* really; */ */
    create or replace view sales as select count(*) as n from sale;
    create or replace function sold() returns trigger language plpgsql as $body$ begin
        insert into invoice (id) values (new.id); update invoice set amount = 1; return null;
    end; $body$;
    create or replace trigger sold after insert on sale for each row execute function sold();
"""


def _sqlite(name: str) -> Engine:
    return Engine(
        name=name,
        one_at_a_time=True,
        failed=apsw.ConstraintError,
        interrupted=apsw.InterruptError,
        fenced=apsw.AuthError,
        unknown_table=apsw.SQLError,
        gateways="gateway_",
        positional="?",
        view="create view if not exists",
        commit=_commit_at_once,
        rich_schema=_SQLITE_SCHEMA,
    )


SQLITE, MEMORY = _sqlite("sqlite"), _sqlite("memory")
POSTGRES = Engine(
    name="postgres",
    one_at_a_time=False,
    failed=psycopg.IntegrityError,
    interrupted=TimeoutError,
    fenced=PermissionError,
    unknown_table=psycopg.errors.UndefinedTable,
    gateways="gateway.",
    positional="$1",
    view="create or replace view",
    commit=_commit,
    rich_schema=_POSTGRES_SCHEMA,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[SQLITE, MEMORY, POSTGRES], ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, engine: Engine, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[Store]:
    if engine is POSTGRES:
        opening: Opened = opened_store(
            request.getfixturevalue("migrated_database"), now_us=clock.now_us, monotonic=clock.monotonic
        )
    else:
        opening = _embedded(engine, tmp_path, clock)
    async with opening as store:
        await store.apply_schema(SCHEMA)
        yield store


@asynccontextmanager
async def _embedded(engine: Engine, folder: Path, clock: FakeClock) -> AsyncIterator[Store]:
    file = opened(folder / "state" / "billing.db", now_us=clock.now_us)
    async with file if engine is SQLITE else in_memory(clock.now_us) as state:
        state.store._monotonic = clock.monotonic
        yield state.store
