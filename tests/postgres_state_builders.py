"""A router's state in Postgres, opened for a test as a worker opens it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from gateway.keep.postgres.blame import PostgresBlame
from gateway.keep.postgres.connection import Pool, open_pool
from gateway.keep.postgres.parking import PostgresParking
from gateway.keep.postgres.pausing import PostgresPausing
from gateway.keep.postgres.places import PostgresPlaces
from gateway.keep.postgres.registration import register
from gateway.keep.postgres.replays import PostgresReplays
from gateway.keep.postgres.state import PostgresState
from gateway.keep.postgres.store import PostgresStore
from tests.state_builders import NOW_US


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker of a router has."""

    pool: Pool
    state: PostgresState
    store: PostgresStore

    @property
    def parking(self) -> PostgresParking:
        return self.state.parking

    @property
    def replays(self) -> PostgresReplays:
        return self.state.replays

    @property
    def pausing(self) -> PostgresPausing:
        return self.state.pausing

    @property
    def blame(self) -> PostgresBlame:
        return self.state.blame

    @property
    def places(self) -> PostgresPlaces:
        return self.state.places

    async def execute(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Do by hand what no port does."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql, values)
            return await cursor.fetchall() if cursor.description else []


async def eventually(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until the condition holds: it is another's doing, and nothing tells of it."""
    async with asyncio.timeout(seconds):
        while not (await answer if isawaitable(answer := holds()) else answer):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


def begin_at(positions: Mapping[int, int]) -> Callable[[], Awaitable[Mapping[int, int]]]:
    """Return what tells a registration these positions."""

    async def begin() -> Mapping[int, int]:
        return positions

    return begin


@asynccontextmanager
async def pooled(dsn: str, *, most: int = 4) -> AsyncIterator[Pool]:
    """Open a pool, and close it."""
    pool = await open_pool(dsn, name="test", most=most)
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def worker_in(
    dsn: str,
    *,
    router: str = "billing",
    instance: str = "here",
    partitions: Collection[int] = (0,),
    now_us: Callable[[], int] = lambda: NOW_US,
    seconds: float = 10.0,
    strict: Collection[str] | None = None,
) -> AsyncIterator[Worker]:
    """Register the router if need be, and be a worker of it that has these partitions."""
    async with pooled(dsn) as pool:
        await register(pool, router, begin_at({0: -1}), NOW_US)
        state = await PostgresState.open(
            pool, router=router, instance=instance, now_us=now_us, seconds=seconds, strict=strict
        )
        store = PostgresStore(pool, router=router, now_us=now_us)
        try:
            await state.parking.take(partitions)
            yield Worker(pool, state, store)
        finally:
            await store.close()
            await state.close()
