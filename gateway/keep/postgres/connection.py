"""How the gateway reaches Postgres: pools and connections with deadlines, and what their failures mean.

Nothing here waits for ever: a connection whose server says nothing for `patience` seconds is cut. A server that cannot
be reached, shuts down, is full or loses a transaction to another is `Unavailable("store_down")`, and whoever asked
tries again. No message carries the DSN.
"""

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import psycopg_pool
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.core.errors import DependencyError, Unavailable

CONNECT_SECONDS = 5
WAIT_SECONDS = 10.0
STATEMENT_SECONDS = 10.0
PATIENCE_SECONDS = STATEMENT_SECONDS + 2.0
CANCEL_SECONDS = 1.0
# A pool that gave up begins again at the next request, so that no pause between two attempts grows long.
_RECONNECT_SECONDS = 5.0
# A peer that vanished without a word is noticed within about twenty seconds, whoever waits.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 20_000}
_OPTIONS = f"-c statement_timeout={STATEMENT_SECONDS * 1000:.0f} -c timezone=UTC -c standard_conforming_strings=on"
_NO_DSN = "store.dsn is no address of a Postgres database; write postgresql://user:password@host/database"
# Classes: connection, insufficient resources, operator's intervention, system. Then: read-only, an idle transaction
# that was ended, serialization failure, deadlock, a lock not had in time.
_PASSING_CLASSES = ("08", "53", "57", "58")
_PASSING = frozenset({"25006", "25P03", "40001", "40P01", "55P03"})

# A role named `gateway` would find the gateway's own tables first, by the server's default path "$user", public. And
# what is told to be durable must be on the disk.
_SESSION = """
select
    case when 'gateway' = any (current_schemas(false)) then set_config('search_path', coalesce(
        (select string_agg(quote_ident(name), ', ' order by place)
         from unnest(current_schemas(false)) with ordinality as path (name, place) where name <> 'gateway'),
        'public'), false) end,
    case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end
"""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that is cut when one wait on the server takes longer than `patience` seconds.

    While it is `lent` to a handler its transaction is not the handler's to end.
    """

    patience = PATIENCE_SECONDS
    lent = False
    _deadline: asyncio.TimerHandle | None = None

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as the driver does, at most `patience` seconds.

        Raises:
            psycopg.OperationalError: the connection is lost, or was cut.
        """
        self._deadline = asyncio.get_running_loop().call_later(self.patience, self.cut)
        try:
            return await super().wait(*args, **kwargs)
        finally:
            self._deadline.cancel()
            self._deadline = None

    async def cancel_safe(self, *, timeout: float = CANCEL_SECONDS) -> None:  # noqa: ASYNC109 - the driver's signature
        """Ask the server to end the statement; if that does not help at once, cut the connection."""
        try:
            await super().cancel_safe(timeout=min(timeout, CANCEL_SECONDS))
        except psycopg.Error:
            self.cut()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(CANCEL_SECONDS, self.cut)

    def cut(self) -> None:
        """Shut the socket down: whoever waits on it learns at once that the connection is lost."""
        _cut(self.pgconn)

    def is_quiet(self) -> bool:
        """Return whether the server has said nothing unasked: to an idle connection that is nearly always farewell."""
        try:
            poll = select.poll()
            poll.register(self.pgconn.socket, select.POLLIN)
            return not poll.poll(0)
        except psycopg.Error:
            return False

    async def commit(self) -> None:
        """Commit; refused to a handler."""
        self._refuse_handler()
        await super().commit()

    async def rollback(self) -> None:
        """Roll back; refused to a handler."""
        self._refuse_handler()
        await super().rollback()

    async def close(self) -> None:
        """Close; refused to a handler."""
        self._refuse_handler()
        await super().close()

    def _refuse_handler(self) -> None:
        if self.lent:
            raise PermissionError("the transaction is the gateway's to end: return, or raise")


class Pool(psycopg_pool.AsyncConnectionPool[Connection]):
    """A pool that hands out no connection whose end is known: after a restart of the server each of them is dead."""

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - the driver's signature
        """Return a connection.

        Raises:
            psycopg_pool.PoolTimeout: none could be had in time.
        """
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            connection = await super().getconn(max(0.0, until - time.monotonic()))
            if connection.is_quiet():
                return connection
            await connection.close()
            await self.putconn(connection)


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A command's connection, cut as a `Connection` is."""

    patience = PATIENCE_SECONDS

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as the driver does, at most `patience` seconds.

        Raises:
            psycopg.OperationalError: the connection is lost, or was cut.
        """
        deadline = threading.Timer(self.patience, _cut, [self.pgconn])
        deadline.daemon = True
        deadline.start()
        try:
            return super().wait(*args, **kwargs)
        finally:
            deadline.cancel()


def address(dsn: str, *, name: str) -> str:
    """Return how to connect: the DSN, completed with deadlines where it has none of its own.

    `name` is shown in `pg_stat_activity`.

    Raises:
        DependencyError: the DSN is none.
    """
    try:
        own: dict[str, Any] = conninfo_to_dict(dsn)
        options = f"{_OPTIONS} {own.pop('options', '')}".strip()
        ours = {"connect_timeout": CONNECT_SECONDS, "application_name": f"gateway {name}"[:63], **_KEEPALIVES}
        return make_conninfo(**{**ours, **own, "options": options, "client_encoding": "utf8"})
    except psycopg.ProgrammingError:
        raise DependencyError(_NO_DSN) from None


async def open_pool(dsn: str, *, name: str, most: int) -> Pool:
    """Open a pool of up to `most` connections, in autocommit mode. It opens without a server, too, and then waits.

    Raises:
        DependencyError: the DSN is none.
    """
    pool = Pool(
        address(dsn, name=name),
        connection_class=Connection,
        kwargs={"autocommit": True},
        configure=_configure,
        min_size=1,
        max_size=most,
        timeout=WAIT_SECONDS,
        max_idle=300.0,
        reconnect_timeout=_RECONNECT_SECONDS,
        name=f"gateway {name}",
        open=False,
    )
    await pool.open(wait=False)
    return pool


def _cut(pgconn: psycopg.pq.abc.PGconn) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(pgconn.socket)) as twin:
        twin.shutdown(socket.SHUT_RDWR)


async def _configure(connection: Connection) -> None:
    await connection.execute(_SESSION)


def connect(dsn: str, *, name: str) -> Session:
    """Open one connection for a command, in autocommit mode.

    Raises:
        DependencyError: the server cannot be reached, or refuses.
    """
    try:
        return Session.connect(address(dsn, name=name), autocommit=True)
    except psycopg.Error as error:
        said = " ".join(str(error).split())[:300]
        raise DependencyError(f"cannot reach Postgres: {said or type(error).__name__}; see store.dsn") from None


def passing(error: BaseException) -> bool:
    """Return whether `error` says that the server, not the statement, is in trouble: trying again may help."""
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.PoolClosed | psycopg_pool.TooManyRequests):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # no answer of the server's: the connection broke
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate in _PASSING or error.sqlstate.startswith(_PASSING_CLASSES)


@contextmanager
def reaching(*, written: bool = False) -> Iterator[None]:
    """Turn failures of the server into `Unavailable`; with `written`, the outcome of what was asked is unknown.

    Raises:
        Unavailable: the server cannot be asked now.
    """
    try:
        yield
    except (psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed, psycopg_pool.TooManyRequests) as error:
        if not passing(error):
            raise
        raise Unavailable("store_down", written=None if written else False) from error
