"""Marks, the stale guard and the routers' own tables, in Postgres: for any number of workers on any number of machines.

A mark is never seen by `marked` before it is durable. Turns run side by side, each on a connection of its own; a second
run of a pair waits for the first at the mark, and sees its outcome. Expiry (design 6.19): the bound of what may be
removed is kept in the database and advances no faster than a tenth more than time passes by the monotonic clock.
"""

import logging
import time
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from gateway.core.errors import PluginError
from gateway.keep.bounds import Bound
from gateway.keep.ports import MarkKey, Outcome, Version
from gateway.keep.postgres import statements
from gateway.keep.postgres.connection import Connection, Pool, reaching
from gateway.keep.postgres.marks import Mark, Marks, blobs, exact, numbers, texts
from gateway.keep.postgres.names import HandlerNames
from gateway.keep.postgres.turn import PostgresTurn, Tasks, enter, give_back

_log = logging.getLogger("gateway.keep")

_CLOSE_SECONDS = 5.0
_SCHEMA_LOCK = 0x6761746577617901  # an advisory lock is a number that all agree on
_SCHEMA_LIMITS = "set local lock_timeout = '30s'; set local statement_timeout = '10min'"
_LOCK_PATIENCE, _CREATE_PATIENCE = 32.0, 11 * 60.0
_FIND_MARKS = (
    "select asked.place, mark.outcome"
    " from unnest(%s::integer[], %s::bytea[], %s::text[]) with ordinality as asked (handler, dedupe_key, replay, place)"
    " join gateway.mark using (handler, dedupe_key, replay)"
)
_NEWEST = "select version from gateway.guard where handler = %s and source = %s and key = %s"
_EXPIRE = (
    "delete from gateway.{0} where ctid = any (array("
    "select ctid from gateway.{0} where at_us < %s order by at_us limit %s for update skip locked))"
)
_EXPIRE_MARKS, _EXPIRE_GUARDS = _EXPIRE.format("mark"), _EXPIRE.format("guard")
_KEPT = "select before_us from gateway.expiry where what = 'mark'"
_KEEP = (
    "insert into gateway.expiry (what, before_us) values ('mark', %s)"
    " on conflict (what) do update set before_us = greatest(excluded.before_us, expiry.before_us)"
)
_PACE = 1.1


class PostgresStore:
    """The store of one router; whoever made `pool` closes it, after this.

    `now_us` is the wall clock; `monotonic` is in seconds.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        router: str,
        now_us: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._now_us = now_us
        self._monotonic = monotonic
        self._names = HandlerNames(pool, router)
        self._marks = Marks(pool, self._names, now_us=now_us)
        self._tasks = Tasks()
        self._expiry: Bound | None = None

    async def apply_schema(self, statements_: str) -> None:
        """Create the router's own tables; one worker after the other, and what is there is not touched.

        Raises:
            PluginError: the SQL is refused, or Postgres refuses it.
            Unavailable: Postgres cannot be reached, or a table was locked for long.
        """
        pieces = statements.split(statements_)
        for piece in pieces:
            fault = statements.schema_fault(piece)
            if fault is not None:
                raise PluginError(f"the router's schema is refused: {fault}")
        try:
            with reaching():
                async with self._pool.connection() as connection:
                    await _create(connection, pieces)
        except psycopg.Error as error:
            raise PluginError(f"the router's schema is refused: {error.diag.message_primary or error}") from error

    async def marked(self, keys: Sequence[MarkKey]) -> Mapping[MarkKey, str]:
        """Return those of `keys` that have a durable mark, each with its outcome; one query for all.

        Raises:
            Unavailable: Postgres cannot be asked.
        """
        if not keys:
            return {}
        ids = await self._names.ids({key.handler for key in keys})
        columns = (
            numbers(ids[key.handler] for key in keys),
            blobs(key.dedupe_key for key in keys),
            texts(key.replay for key in keys),
        )
        rows = await self._rows(_FIND_MARKS, columns)
        return {keys[place - 1]: outcome for place, outcome in rows}

    async def begin(self, key: MarkKey, *, version: Version | None, attempt: int, limit: float) -> PostgresTurn:
        """Open a transaction; insert the mark, then check and move the guard.

        Raises:
            AlreadyDone: the mark exists.
            StaleEvent: the guard holds a newer version.
            Unavailable: the transaction cannot be had.
        """
        mark = Mark(await self._names.id(key.handler), key, "done", attempt, self._now_us(), version)
        with reaching():
            connection = await self._pool.getconn()
        cursor = connection.cursor()
        try:
            await enter(cursor, mark, limit)
        except BaseException:
            self._tasks.start(give_back(self._pool, connection))
            raise
        return PostgresTurn(self._pool, connection, cursor, limit, self._tasks)

    def mark(self, key: MarkKey, outcome: Outcome, *, version: Version | None, attempt: int) -> "Future[None]":
        """Mark a pair that did not use `ctx.tx`, in the next group; a mark that exists stays as it is.

        With a version, the guard is moved with it (never back). The future fails with `Unavailable` if Postgres cannot
        be asked now; asking again is safe.
        """
        return self._marks.add(key, outcome, version=version, attempt=attempt)

    async def newest(self, handler: str, version: Version) -> int | None:
        """Return the guard's newest durable version of that key, or None.

        Raises:
            Unavailable: Postgres cannot be asked.
        """
        number = await self._names.id(handler)
        rows = await self._rows(_NEWEST, (number, exact(version.source), exact(version.key)))
        return int(rows[0][0]) if rows else None

    async def expire(self, before_us: int, limit: int) -> int:
        """Remove up to `limit` marks, then guards, of all routers, from before `before_us` or as the clocks allow.

        Returns how many. What another worker removes just now is passed over.

        Raises:
            Unavailable: nothing can be removed now.
        """
        bound_us = await self._bound(before_us)
        with reaching(written=True):
            async with self._pool.connection() as connection:
                marks = (await connection.execute(_EXPIRE_MARKS, (bound_us, limit))).rowcount
                guards = (await connection.execute(_EXPIRE_GUARDS, (bound_us, limit - marks))).rowcount
                await connection.execute(_KEEP, (bound_us,))
        return marks + guards

    async def close(self) -> None:
        """Finish what was asked for, within some seconds. The pool belongs to whoever made it."""
        await self._marks.close(_CLOSE_SECONDS)
        await self._tasks.end(_CLOSE_SECONDS)

    async def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with reaching():
            async with self._pool.connection() as connection:
                return await (await connection.execute(sql.encode(), values)).fetchall()

    async def _bound(self, before_us: int) -> int:
        if self._expiry is None:
            rows = await self._rows(_KEPT, ())
            self._expiry = Bound(rows[0][0] if rows else before_us, before_us, self._monotonic())
        now = self._monotonic()
        jumped = self._expiry.jump(before_us, now)
        if jumped:
            _log.warning("store.clock_jumped", extra={"seconds": jumped})
        self._expiry = self._expiry.advance(before_us, now, pace=_PACE)
        return self._expiry.removable_us


async def _create(connection: Connection, pieces: Sequence[list[statements.Token]]) -> None:
    """Run a router's schema in one transaction.

    What exists is passed over here: `create index if not exists` waits for all writers of the table before it looks.
    """
    connection.patience = _LOCK_PATIENCE
    try:
        async with connection.transaction():
            await connection.execute(_SCHEMA_LIMITS)
            await connection.execute("select pg_advisory_xact_lock(%s)", [_SCHEMA_LOCK])
            for piece in pieces:
                name = statements.created(piece)
                found = await connection.execute("select to_regclass(%s)", [name])
                if name is None or await found.fetchone() == (None,):
                    connection.patience = _CREATE_PATIENCE  # an index of a large table takes its time
                    await connection.execute(statements.text(piece).encode())
    finally:
        connection.patience = Connection.patience
