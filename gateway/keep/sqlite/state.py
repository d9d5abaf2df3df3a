"""`state/<router>.db`: everything durable of one router's worker, behind one writing connection.

Cursors belong to a log, known by its id. A router's position is registered once, at the log's end or beginning; after
that a missing position is an error, an unknown log is read from its beginning with an alarm, and a cursor beyond the
log's end is refused.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import apsw

from gateway.core.errors import DependencyError
from gateway.keep.sqlite.blame import SqliteBlame, take_over
from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.connection import FileLock, migrate, open_writer, opening
from gateway.keep.sqlite.fence import Fence
from gateway.keep.sqlite.names import HandlerNames
from gateway.keep.sqlite.parking import SqliteParking
from gateway.keep.sqlite.replays import SqlitePausing, SqliteReplays
from gateway.keep.sqlite.state_schema import MIGRATIONS
from gateway.keep.sqlite.store import SqliteStore
from gateway.keep.sqlite.subscription import LogReader, SqliteSubscription

_log = logging.getLogger("gateway.keep")

_CACHE_KIB = 16 * 1024
_CLOSE_SECONDS = 5.0


def wall_us() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Which log, and its last offset now."""

    log_id: str
    end: int


class SqliteState:
    """One router's state, open. Made by `open` or `in_memory`, on the event loop's thread; `close` it there.

    Attributes:
        store, parking, replays, pausing, blame: the ports of `gateway.keep.ports`.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        lock: FileLock | None,
        *,
        router: str,
        unclean: bool,
        now_us: Callable[[], int],
        on_poison: Callable[[], None] | None,
    ) -> None:
        fence = Fence(connection)
        with fence.own():
            names = HandlerNames(connection)
            committer = Committer(connection, fence, in_place=lock is None, on_poison=on_poison)
            committer.committed, committer.undone = names.keep, names.undo
            self.store = SqliteStore(committer, names, now_us=now_us)
            self.replays = SqliteReplays(committer)
            self.pausing = SqlitePausing(committer)
            self.blame = SqliteBlame(committer, unclean=unclean)
            self.parking = SqliteParking(committer, router=router, now_us=now_us, retried=self.blame.forget)
        self._committer = committer
        self._connection = connection
        self._lock = lock
        self._router = router
        self._now_us = now_us
        self._subscription: SqliteSubscription | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        router: str,
        log: LogPlace,
        on_poison: Callable[[], None] | None = None,
        now_us: Callable[[], int] = wall_us,
    ) -> Self:
        """Take the file of a registered router.

        Args:
            path: `state/<router>.db`.
            router: the router's name.
            log: the log its cursor must belong to.
            on_poison: called once, on the loop's thread, when an I/O error makes the file's content unknown.
            now_us: the wall clock.

        Raises:
            DependencyError: another process owns the file, the router is not registered, the file is another router's,
                or its cursor lies beyond the log's end.
            DamagedError: the file is damaged.
            GatewayError: a newer gateway wrote it.
        """
        lock = FileLock(path)
        lock.acquire()
        try:
            with opening(path):
                connection = _open_file(path)
                unclean = _take(connection, router, log)
        except BaseException:
            lock.release()
            raise
        return cls(connection, lock, router=router, unclean=unclean, now_us=now_us, on_poison=on_poison)

    @classmethod
    def in_memory(cls, router: str, *, now_us: Callable[[], int] = wall_us) -> Self:
        """Return a state that lives as long as this object, its cursor at a log's beginning."""
        connection = apsw.Connection(":memory:")
        migrate(connection, MIGRATIONS)
        _register(connection, router, "memory", 0)
        unclean = _take(connection, router, LogPlace("memory", 0))
        return cls(connection, None, router=router, unclean=unclean, now_us=now_us, on_poison=None)

    def subscribe(self, reader: LogReader) -> SqliteSubscription:
        """Return the router's subscription to the log that `reader` reads; `close` closes both."""
        with self._committer.fence.own():
            subscription = SqliteSubscription(self._committer, reader, router=self._router, now_us=self._now_us)
        self._subscription = subscription
        return subscription

    async def close(self) -> None:
        """Finish what is queued, then let the file go. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._subscription is not None:
            await self._subscription.close()
        await self._committer.close(_CLOSE_SECONDS)
        # Closing the last connection checkpoints: not on the loop's thread.
        await asyncio.get_running_loop().run_in_executor(None, self._connection.close)
        if self._lock is not None:
            self._lock.release()


def register(path: Path, router: str, log_id: str, position: int) -> bool:
    """Note durably where a new router starts. Return False, changing nothing, if it is known.

    `position` is the last offset it does not want: the log's last one, or for `start="earliest"` the one before the
    oldest stored event (what retention removed before the router existed is no gap of its own).

    Raises:
        DependencyError: another process owns the file, or the file is another router's.
        DamagedError: the file is damaged.
        GatewayError: a newer gateway wrote it.
    """
    with FileLock(path), opening(path):
        connection = _open_file(path)
        try:
            return _register(connection, router, log_id, position)
        finally:
            connection.close()


def refuse_beyond(router: str, cursor: int, end: int) -> None:
    """Refuse a cursor beyond the log's end (design 6.6).

    Raises:
        DependencyError: it is; the message has the remedy.
    """
    if cursor > end:
        raise DependencyError(
            f"router {router} stands at {cursor}, beyond the log's end at {end}: the log was restored from an older"
            f" backup. Restore the state files of the same backup, or `gateway routers forget {router}` to start anew"
        )


def _open_file(path: Path) -> apsw.Connection:
    connection = open_writer(path)
    # The turn is asked for on the event loop's thread, which waits for nobody's lock: the committer asks again.
    connection.set_busy_timeout(0)
    connection.pragma("cache_size", -_CACHE_KIB)
    try:
        migrate(connection, MIGRATIONS)
    except apsw.BusyError as error:
        connection.close()
        raise DependencyError(f"{path.name} is locked by another program; close it first") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _meta(connection: apsw.Connection) -> dict[str, object]:
    rows: list[Any] = connection.execute("select key, value from gateway_meta").fetchall()
    return dict(rows)


def _register(connection: apsw.Connection, router: str, log_id: str, position: int) -> bool:
    with connection:
        meta = _meta(connection)
        _check_router(meta, router)
        if "log_id" in meta:
            return False
        _set_log(connection, log_id, position)
        connection.execute("insert into gateway_meta (key, value) values ('router', ?)", (router,))
    return True


def _take(connection: apsw.Connection, router: str, log: LogPlace) -> bool:
    """Check the cursor against the log and begin this worker's life; return whether the last one's end was unclean."""
    connection.execute("begin immediate")
    try:
        _check_router(_meta(connection), router)
        _check_cursor(connection, router, log)
        unclean = take_over(connection)
    except BaseException:
        connection.close()
        raise
    connection.execute("commit")
    return unclean


def _set_log(connection: apsw.Connection, log_id: str, position: int) -> None:
    connection.execute("insert or replace into gateway_meta (key, value) values ('log_id', ?)", (log_id,))
    connection.execute("delete from gateway_cursor")
    connection.execute("insert into gateway_cursor (partition, offset) values (0, ?)", (position,))


def _check_router(meta: dict[str, object], router: str) -> None:
    if meta.get("router", router) != router:
        raise DependencyError(f"this state file belongs to router {meta['router']}, not {router}; move it away")


def _check_cursor(connection: apsw.Connection, router: str, log: LogPlace) -> None:
    log_id = _meta(connection).get("log_id")
    if log_id is None:
        raise DependencyError(f"router {router} has no position in the log: start it with `gateway run`")
    if log_id != log.log_id:
        _log.error("state.unknown_log", extra={"router": router})
        _set_log(connection, log.log_id, 0)
    row = connection.execute("select offset from gateway_cursor where partition = 0").fetchone()
    if row is None:
        raise DependencyError(f"router {router} has lost its position: restore its state file from a backup")
    refuse_beyond(router, row[0], log.end)
