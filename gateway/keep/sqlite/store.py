"""Marks, the stale guard and the router's own tables, in `state/<router>.db`.

A mark is never seen by `marked` before it is durable. Expiry (design 6.19): the bound of what may be removed is kept in
the file and advances no faster than a tenth more than time passes by the monotonic clock.
"""

import logging
import time
from asyncio import CancelledError, Future
from collections.abc import Callable, Mapping, Sequence

import apsw

from gateway.core.errors import PluginError
from gateway.keep.bounds import Bound
from gateway.keep.ports import AlreadyDone, MarkKey, Outcome, StaleEvent, Version
from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.fence import Fence, schema_fault, split
from gateway.keep.sqlite.names import HandlerNames
from gateway.keep.sqlite.turn import SqliteTurn

_log = logging.getLogger("gateway.keep")

_INSERT_MARK = (
    "insert into gateway_mark (handler, dedupe_key, replay, outcome, attempts, at_us) values (?, ?, ?, ?, ?, ?)"
    " on conflict do nothing"
)
_FIND_MARK = "select outcome from gateway_mark where handler = ? and dedupe_key = ? and replay = ?"
_MOVE_GUARD = (
    "insert into gateway_guard (handler, source, key, version, at_us) values (?, ?, ?, ?, ?)"
    " on conflict (handler, source, key) do update set version = excluded.version, at_us = excluded.at_us"
    " where excluded.version >= gateway_guard.version"
)
_EXPIRE_MARKS = (
    "delete from gateway_mark where (handler, dedupe_key, replay) in"
    " (select handler, dedupe_key, replay from gateway_mark where at_us < ? order by at_us limit ?)"
)
_EXPIRE_GUARDS = (
    "delete from gateway_guard where (handler, source, key) in"
    " (select handler, source, key from gateway_guard where at_us < ? order by at_us limit ?)"
)
_PACE = 1.1


class SqliteStore:
    """The store of one router. `now_us` is the wall clock; `monotonic` is in seconds."""

    def __init__(
        self,
        committer: Committer,
        names: HandlerNames,
        *,
        now_us: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._committer = committer
        self._names = names
        self._now_us = now_us
        self._monotonic = monotonic
        self._expiry: Bound | None = None

    async def apply_schema(self, statements: str) -> None:
        """Create the router's own tables, none named `gateway_*`.

        Raises:
            PluginError: the SQL is refused, or SQLite refuses it.
        """
        pieces = split(statements)
        for piece in pieces:
            fault = schema_fault(piece)
            if fault is not None:
                raise PluginError(fault)
        fence = self._committer.fence
        try:
            await self._committer.submit(lambda connection: _create(connection, fence, pieces))
        except apsw.Error as error:
            raise PluginError(f"the router's schema is refused: {error}") from error

    async def marked(self, keys: Sequence[MarkKey]) -> Mapping[MarkKey, str]:
        """Return those of `keys` that have a durable mark, each with its outcome."""

        def find(connection: apsw.Connection) -> dict[MarkKey, str]:
            found = {}
            for key in keys:
                handler = self._names.find(key.handler)
                if handler is None:
                    continue
                row = connection.execute(_FIND_MARK, (handler, key.dedupe_key, key.replay)).fetchone()
                if row is not None:
                    found[key] = row[0]
            return found

        return await self._committer.read(find)

    async def begin(self, key: MarkKey, *, version: Version | None, attempt: int, limit: float) -> SqliteTurn:
        """Wait for the turn; insert the mark, then check and move the guard, in the turn's own savepoint.

        Raises:
            AlreadyDone: the mark exists.
            StaleEvent: the guard holds a newer version.
            Unavailable: the transaction cannot be had.
        """

        def enter(connection: apsw.Connection) -> None:
            handler = self._names.id(connection, key.handler)
            now_us = self._now_us()
            connection.execute(_INSERT_MARK, (handler, key.dedupe_key, key.replay, "done", attempt, now_us))
            if connection.changes() == 0:
                raise AlreadyDone
            if version is not None and not _move_guard(connection, handler, version, now_us):
                raise StaleEvent

        turn = SqliteTurn(self._committer, enter, limit)
        try:
            await turn.granted
        except CancelledError:
            await turn.rollback()
            raise
        return turn

    def mark(self, key: MarkKey, outcome: Outcome, *, version: Version | None, attempt: int) -> "Future[None]":
        """Mark a pair that did not use `ctx.tx`, in the next group; a mark that exists stays as it is.

        With a version, the guard is moved with it (never back).
        """
        now_us = self._now_us()

        def write(connection: apsw.Connection) -> None:
            handler = self._names.id(connection, key.handler)
            connection.execute(_INSERT_MARK, (handler, key.dedupe_key, key.replay, outcome, attempt, now_us))
            if version is not None:
                _move_guard(connection, handler, version, now_us)

        return self._committer.submit(write)

    async def newest(self, handler: str, version: Version) -> int | None:
        """Return the guard's newest durable version of that key, or None."""
        number = self._names.find(handler)
        if number is None:
            return None
        return await self._committer.read(lambda connection: _newest(connection, number, version))

    async def expire(self, before_us: int, limit: int) -> int:
        """Remove up to `limit` marks, then guards, from before `before_us` or as the clocks allow; return how many."""
        bound = await self._bound(before_us)
        return await self._committer.submit(lambda connection: _expire(connection, bound, limit))

    async def close(self) -> None:
        """Wait until all that was asked is durable. The file belongs to `SqliteState`, which closes it."""
        await self._committer.drained()

    async def _bound(self, before_us: int) -> int:
        if self._expiry is None:
            kept = await self._committer.read(_expired_before)
            self._expiry = Bound(before_us if kept is None else kept, before_us, self._monotonic())
        now = self._monotonic()
        jumped = self._expiry.jump(before_us, now)
        if jumped:
            _log.warning("store.clock_jumped", extra={"seconds": jumped})
        self._expiry = self._expiry.advance(before_us, now, pace=_PACE)
        return self._expiry.removable_us


def _create(connection: apsw.Connection, fence: Fence, pieces: Sequence[str]) -> None:
    with fence.schema():
        for piece in pieces:
            connection.execute(fence.prepare(piece))


def _move_guard(connection: apsw.Connection, handler: int, version: Version, now_us: int) -> bool:
    connection.execute(_MOVE_GUARD, (handler, version.source, version.key, version.value, now_us))
    return connection.changes() > 0


def _newest(connection: apsw.Connection, handler: int, version: Version) -> int | None:
    row = connection.execute(
        "select version from gateway_guard where handler = ? and source = ? and key = ?",
        (handler, version.source, version.key),
    ).fetchone()
    return None if row is None else int(row[0])


def _expired_before(connection: apsw.Connection) -> int | None:
    row = connection.execute("select value from gateway_meta where key = 'expired_before_us'").fetchone()
    return None if row is None else int(row[0])


def _expire(connection: apsw.Connection, bound_us: int, limit: int) -> int:
    connection.execute(_EXPIRE_MARKS, (bound_us, limit))
    marks = connection.changes()
    connection.execute(_EXPIRE_GUARDS, (bound_us, limit - marks))
    guards = connection.changes()
    connection.execute("insert or replace into gateway_meta (key, value) values ('expired_before_us', ?)", (bound_us,))
    return marks + guards
