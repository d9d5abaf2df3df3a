"""What commands change of a router, from any machine, its workers running or not: they notice within seconds."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import msgspec

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.ports import Replay
from gateway.keep.postgres.asking import ASK_SECONDS, Asker
from gateway.keep.postgres.connection import Connection, open_pool
from gateway.keep.postgres.parking import PostgresParking
from gateway.keep.postgres.pausing import PostgresPausing
from gateway.keep.postgres.registration import registered, unreachable
from gateway.keep.postgres.replays import read_replay

_SAVE = "insert into gateway.replay (router, id, state, document) values (%s, %s, %s, %s)"
_READ = "select document from gateway.replay where router = %s and id = %s"
_CANCEL = "update gateway.replay set state = %s, document = %s where router = %s and id = %s"
_CLOSE_SECONDS = 5.0


class ReplayOrders:
    """Replays of one router as whoever orders them sees them."""

    def __init__(self, asker: Asker, *, router: str) -> None:
        self._asker = asker
        self._router = router

    async def create(self, replay: Replay) -> None:
        """Order a replay: one of the router's workers begins it, now or when it starts."""
        values = (self._router, replay.id, replay.state, msgspec.json.encode(replay))

        async def work(connection: Connection) -> None:
            await connection.execute(_SAVE, values)

        await self._asker.ask(work)

    async def progress(self, replay_id: str) -> Replay | None:
        """Return where the replay stands, or None if it is not known."""

        async def work(connection: Connection) -> Replay | None:
            return await self._read(connection, replay_id, _READ)

        return await self._asker.ask(work)

    async def cancel(self, replay_id: str) -> bool:
        """Stop a replay; what it handed out still runs. Return whether it was running."""

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                found = await self._read(connection, replay_id, f"{_READ} for update")
                if found is None or found.state != "running":
                    return False
                over = replace(found, state="cancelled")
                await connection.execute(_CANCEL, (over.state, msgspec.json.encode(over), self._router, replay_id))
                return True

        return await self._asker.ask(work)

    async def _read(self, connection: Connection, replay_id: str, sql: str) -> Replay | None:
        row = await (await connection.execute(sql, (self._router, replay_id))).fetchone()
        return None if row is None else read_replay(row[0])


@dataclass(frozen=True, slots=True)
class RouterOrders:
    """What a command may change of one router. `parking` took no partition: it hands out and counts nothing."""

    parking: PostgresParking
    pausing: PostgresPausing
    replays: ReplayOrders


@asynccontextmanager
async def ordering(dsn: str, *, router: str, seconds: float = ASK_SECONDS) -> AsyncIterator[RouterOrders]:
    """Open a small pool of one's own for a command, and close it; each question may take `seconds`.

    Raises:
        DependencyError: the server cannot be reached, or the router was never registered.
    """
    pool = await open_pool(dsn, name="command", most=2)
    asker = Asker(pool, seconds=seconds)
    try:
        if not await registered(pool, router, seconds=seconds):
            raise DependencyError(f"router {router} has no state yet; it is made when `gateway work` first starts it")
        pausing = PostgresPausing(asker, router=router)
        await pausing.refresh()
        parking = PostgresParking(asker, router=router, now_us=_wall_us, retried=lambda _keys: None)
        yield RouterOrders(parking, pausing, ReplayOrders(asker, router=router))
    except Unavailable as error:
        raise unreachable() from error
    finally:
        await asker.close(_CLOSE_SECONDS)
        await pool.close()


def _wall_us() -> int:
    return time.time_ns() // 1000
