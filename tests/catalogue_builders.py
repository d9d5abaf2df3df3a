"""Stored events and routers' state on each engine, with the catalogue that is asked of them."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gateway.core.event import Event
from gateway.keep.places import partition_number
from gateway.keep.ports import Catalogue, Parking, Pausing, Position, Replays, Store, Stored
from gateway.keep.postgres.catalogue import PostgresCatalogue
from gateway.keep.postgres.connection import Pool, connect, open_pool
from gateway.keep.postgres.index import PostgresIndex
from gateway.keep.postgres.registration import register as register_in_postgres
from gateway.keep.postgres.state import PostgresState
from gateway.keep.postgres.store import PostgresStore
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from tests.log_builders import OpenLog, sqlite_log
from tests.postgres_state_builders import begin_at
from tests.state_builders import NOW_US, FakeClock

_PARTITIONS = 3


@dataclass
class RouterState:
    """What one router keeps; `commit` makes durable that all up to a place is finished."""

    store: Store
    parking: Parking
    pausing: Pausing
    replays: Replays
    commit: Callable[[Position], Awaitable[None]]


class World(Protocol):
    """A log with its catalogue, and the state of routers that began before its first event."""

    clock: FakeClock  # of the routers' workers

    @property
    def catalogue(self) -> Catalogue: ...

    def router(self, name: str) -> AbstractAsyncContextManager[RouterState]:
        """Register a router, and open its state."""
        ...

    async def append(self, *events: Event) -> Sequence[Position]:
        """Store events, and return their places."""
        ...


@dataclass
class SqliteWorld:
    """The embedded log."""

    folder: Path
    catalogue: SqliteCatalogue
    opened: OpenLog
    clock: FakeClock = field(default_factory=FakeClock)

    async def append(self, *events: Event) -> Sequence[Position]:
        return [appended.position for appended in await self.opened.append(*events) if appended.position]

    @asynccontextmanager
    async def router(self, name: str) -> AsyncIterator[RouterState]:
        path, log = self.folder / STATE_FOLDER / f"{name}.db", self.opened.reader
        path.parent.mkdir(exist_ok=True)
        register(path, name, log.log_id(), 0)
        state = SqliteState.open(path, router=name, log=LogPlace(log.log_id(), 1000), now_us=self.clock.now_us)
        subscription = state.subscribe(SqliteReader(self.folder / FILE_NAME))

        async def commit(position: Position) -> None:
            subscription.commit({position.partition: position.offset})
            await state.pausing.set_paused(state.pausing.paused())  # the cursor goes with the next group

        try:
            yield RouterState(state.store, state.parking, state.pausing, state.replays, commit)
        finally:
            await subscription.close()
            await state.close()


@dataclass
class PostgresWorld:
    """A log in a dictionary, each source in three partitions, and its index in Postgres."""

    catalogue: PostgresCatalogue
    index: PostgresIndex
    pool: Pool
    records: dict[Position, Stored] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)

    async def append(self, *events: Event) -> Sequence[Position]:
        stored = [self.place(event) for event in events]
        await self.index.write(stored)
        return [one.position for one in stored]

    @asynccontextmanager
    async def router(self, name: str) -> AsyncIterator[RouterState]:
        await register_in_postgres(self.pool, name, begin_at({}), NOW_US)
        state = await PostgresState.open(self.pool, router=name, instance="test", now_us=self.clock.now_us)
        store = PostgresStore(self.pool, router=name, now_us=self.clock.now_us)

        async def commit(position: Position) -> None:
            state.places.save({position.partition: position.offset})
            await state.places.flush()

        try:
            yield RouterState(store, state.parking, state.pausing, state.replays, commit)
        finally:
            await store.close()
            await state.close()

    def place(self, event: Event) -> Stored:
        """Store an event, and leave it to the caller to index it."""
        number = partition_number(event.source, zlib.crc32(event.key.encode("utf-8", "surrogatepass")) % _PARTITIONS)
        offset = self.ends.get(number, 0)
        self.ends[number] = offset + 1
        stored = Stored(Position(number, offset), event)
        self.records[stored.position] = stored
        return stored


@asynccontextmanager
async def sqlite_world(folder: Path) -> AsyncIterator[SqliteWorld]:
    async with sqlite_log(folder) as opened:
        catalogue = SqliteCatalogue(folder)
        try:
            yield SqliteWorld(folder, catalogue, opened)
        finally:
            catalogue.close()


@asynccontextmanager
async def postgres_world(dsn: str) -> AsyncIterator[PostgresWorld]:
    pool = await open_pool(dsn, name="test", most=2)
    records: dict[Position, Stored] = {}
    catalogue = PostgresCatalogue(connect(dsn, name="test"), lambda position, _source: records.get(position))
    try:
        yield PostgresWorld(catalogue, PostgresIndex(pool), pool, records)
    finally:
        catalogue.close()
        await pool.close()
