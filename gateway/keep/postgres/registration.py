"""Which routers are known, and since which positions: registered once, durably, before their first fetch."""

from collections.abc import Awaitable, Callable, Mapping

import psycopg

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.postgres.asking import ASK_SECONDS, Asker, T, Work
from gateway.keep.postgres.connection import Connection, Pool
from gateway.keep.postgres.places import SAVE
from gateway.keep.postgres.replays import NOW_US

_RUNNING = f"select instance from gateway.worker where router = %s and seen_us > {NOW_US} - 20000000 order by instance"
_NEW = "insert into gateway.router (name, registered_us) values (%s, %s) on conflict do nothing returning 1"
_SLICE = 5000
# The log is asked for its ends in between, and another worker waits for that.
_BEGIN_SECONDS = 120.0
_BEGIN_LIMIT = f"set local statement_timeout = '{_BEGIN_SECONDS:.0f}s'"
_TABLES = ("parked", "dead", "replay", "running", "crash", "revision", "cursor", "gap", "worker")
_OF_HANDLERS = ("mark", "guard")


async def register(pool: Pool, router: str, begin: Callable[[], Awaitable[Mapping[int, int]]], now_us: int) -> bool:
    """Note durably where a new router starts. Return False, changing nothing, if it is known.

    `begin` determines where it starts, and is called only if the router is new; of two workers that register it at a
    time, the second waits and learns that it is known, or it would move the start past what was accepted since. It
    returns, by partition number, the last offset that is not wanted: of each partition there is.

    Raises:
        DependencyError: the server cannot be reached, or lacks the gateway's tables.
    """

    async def work(connection: Connection) -> bool:
        connection.patience = _BEGIN_SECONDS
        try:
            async with connection.transaction():
                await connection.execute(_BEGIN_LIMIT)
                if await (await connection.execute(_NEW, [router, now_us])).fetchone() is None:
                    return False
                positions = await begin()
                await connection.execute(SAVE, [router, list(positions), list(positions.values())])
                return True
        finally:
            connection.patience = Connection.patience

    return await _asked(pool, work, _BEGIN_SECONDS)


async def registered(pool: Pool, router: str, *, seconds: float = ASK_SECONDS) -> bool:
    """Return whether the router is known.

    Raises:
        DependencyError: the server cannot be reached, or lacks the gateway's tables.
    """

    async def work(connection: Connection) -> bool:
        cursor = await connection.execute("select 1 from gateway.router where name = %s", [router])
        return await cursor.fetchone() is not None

    return await _asked(pool, work, seconds)


async def forget(pool: Pool, router: str) -> None:
    """Remove all that is kept of a router: retries, dead letters, marks, positions. Its own tables stay.

    What was removed stays so if it ends before its time, and it can be asked again.

    Raises:
        DependencyError: the router runs, or the server cannot be reached.
    """

    async def running(connection: Connection) -> list[str]:
        return [row[0] for row in await (await connection.execute(_RUNNING, [router])).fetchall()]

    instances = await _asked(pool, running)
    if instances:
        raise DependencyError(f"router {router} is running ({', '.join(instances)}); stop its workers first")
    for table in _OF_HANDLERS:
        chosen = "handler in (select id from gateway.handler where router = %s)"
        await _remove(pool, table, chosen, router)
    for table in _TABLES:
        await _remove(pool, table, "router = %s", router)
    await _remove(pool, "handler", "router = %s", router)
    await _remove(pool, "router", "name = %s", router)


async def _remove(pool: Pool, table: str, chosen: str, router: str) -> None:
    """Remove the rows in slices: there may be millions, and a statement's time is limited."""
    statement = (
        f"delete from gateway.{table} where ctid = any(array("
        f"select ctid from gateway.{table} where {chosen} limit {_SLICE}))"
    )

    async def work(connection: Connection) -> int:
        return (await connection.execute(statement, [router], prepare=False)).rowcount

    while await _asked(pool, work) == _SLICE:
        pass


async def _asked(pool: Pool, work: Work[T], seconds: float = ASK_SECONDS) -> T:
    try:
        return await Asker(pool, seconds=seconds).ask(work)
    except Unavailable as error:
        raise unreachable() from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise DependencyError("the store lacks the gateway's tables; make them with `gateway store migrate`") from error


def unreachable() -> DependencyError:
    """Return the error of a start without a server."""
    return DependencyError("cannot reach Postgres; start it, or see store.dsn")
