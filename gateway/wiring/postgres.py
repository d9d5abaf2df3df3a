"""Postgres put together: pools, and a router's store."""

from contextlib import AsyncExitStack

from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.handle.calls import wall_clock_us
from gateway.keep.postgres.connection import Pool, open_pool
from gateway.keep.postgres.store import PostgresStore


def dsn_of(settings: Settings) -> str:
    """Return where Postgres is.

    Raises:
        DependencyError: it was left out, as commands that need none may do.
    """
    if settings.store.dsn is None:
        raise DependencyError("store.dsn has no value here; set the variable or the file it names")
    return settings.store.dsn


async def pool_of(settings: Settings, process: str, held: AsyncExitStack) -> Pool:
    """Return the process's connections, closed with `held`."""
    pool = await open_pool(dsn_of(settings), name=process, most=settings.store.connections)
    held.push_async_callback(pool.close)
    return pool


async def open_store(
    settings: Settings, router: str, held: AsyncExitStack, *, pool: Pool | None = None
) -> PostgresStore:
    """Return a router's store, on `pool` or on one of its own."""
    chosen = pool or await pool_of(settings, f"worker:{router}", held)
    store = PostgresStore(chosen, router=router, now_us=wall_clock_us)
    held.push_async_callback(store.close)
    return store
