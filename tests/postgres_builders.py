"""Builders for the tests of the Postgres store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg

from gateway.core.errors import Unavailable
from gateway.keep.ports import AlreadyDone
from gateway.keep.postgres.connection import Pool, open_pool
from gateway.keep.postgres.store import PostgresStore
from tests.state_builders import INSERT, NOW_US, begin


@asynccontextmanager
async def opened_pool(dsn: str, *, most: int = 10, name: str = "billing") -> AsyncIterator[Pool]:
    """Open a pool."""
    pool = await open_pool(dsn, name=name, most=most)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def opened_store(
    dsn: str,
    *,
    router: str = "billing",
    most: int = 10,
    now_us: Callable[[], int] = lambda: NOW_US,
    monotonic: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[PostgresStore]:
    """Open the store of a router on a migrated database."""
    async with opened_pool(dsn, most=most) as pool:
        store = PostgresStore(pool, router=router, now_us=now_us, monotonic=monotonic)
        try:
            yield store
        finally:
            await store.close()


def execute(dsn: str, sql: str, *values: object) -> object:
    """Run a statement by hand; return the first value of its first row, if it has one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(sql.encode(), values)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


async def durably(ask: Callable[[], Awaitable[object]]) -> object:
    """Ask until it is answered, as the worker does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.05)


async def run(store: PostgresStore, name: str = "evt_1") -> str:
    """Run a pair whose handler inserts one row, until it has an outcome."""

    async def once() -> str:
        try:
            turn = await begin(store, name)
        except AlreadyDone:
            return "duplicate"
        try:
            await turn.tx.execute(INSERT, {"id": name, "amount": 1})
            await turn.finish()
        finally:
            await turn.rollback()
        return "done"

    return str(await durably(once))
