"""Postgres put together: pools, and a router's store."""

from contextlib import AsyncExitStack

from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.handle.calls import wall_clock_us
from gateway.keep.postgres import migrations
from gateway.keep.postgres.connection import Pool, open_pool
from gateway.keep.postgres.store import PostgresStore

# Of one worker, beside those of its handlers.
STATE_CONNECTIONS = 4


def dsn_of(settings: Settings) -> str:
    """Return where Postgres is.

    Raises:
        DependencyError: it was left out, as commands that need none may do.
    """
    if settings.store.dsn is None:
        raise DependencyError("store.dsn has no value here; set the variable or the file it names")
    return settings.store.dsn


def verify(settings: Settings) -> None:
    """Look whether this gateway can work with the store.

    Raises:
        DependencyError: it cannot; the message has the remedy.
    """
    migrations.verify(dsn_of(settings))


async def pool_of(settings: Settings, process: str, held: AsyncExitStack, *, most: int | None = None) -> Pool:
    """Return connections, up to `most` or the configured number, closed with `held`."""
    pool = await open_pool(dsn_of(settings), name=process, most=most or settings.store.connections)
    held.push_async_callback(pool.close)
    return pool


async def open_store(settings: Settings, router: str, held: AsyncExitStack) -> PostgresStore:
    """Return a router's store, on connections of its own."""
    pool = await pool_of(settings, f"worker:{router}", held)
    store = PostgresStore(pool, router=router, now_us=wall_clock_us)
    held.push_async_callback(store.close)
    return store
