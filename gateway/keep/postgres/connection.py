"""How the gateway reaches Postgres: pools and connections with deadlines, and what their failures mean.

Nothing here waits for ever. A server that cannot be reached, shuts down or loses its transaction to another is
`Unavailable("store_down")`, and whoever asked tries again; no message carries the DSN.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg_pool

from gateway.core.errors import DependencyError, Unavailable

Pool = psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]

CONNECT_SECONDS = 5
WAIT_SECONDS = 10.0
_STATEMENT_MS = 15_000
# A peer that vanished without a word is noticed within about twenty seconds.
_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 20_000}
# Serialization failure, deadlock, admin shutdown, crash shutdown, cannot connect now, too many connections, read-only.
_PASSING = frozenset({"40001", "40P01", "57P01", "57P02", "57P03", "53300", "25006", "57014", "55P03"})


def parameters(name: str) -> dict[str, Any]:
    """Return what every connection is opened with; `name` is shown in `pg_stat_activity`."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": f"gateway {name}"[:63],
        "options": f"-c statement_timeout={_STATEMENT_MS} -c timezone=UTC",
        **_KEEPALIVES,
    }


async def open_pool(dsn: str, *, name: str, most: int) -> Pool:
    """Open a pool of up to `most` connections, in autocommit mode. It opens without a server, too, and then waits.

    Raises:
        DependencyError: the DSN is none.
    """
    try:
        pool: Pool = psycopg_pool.AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=most,
            kwargs={"autocommit": True, **parameters(name)},
            timeout=WAIT_SECONDS,
            max_idle=300.0,
            reconnect_timeout=60.0,
            check=psycopg_pool.AsyncConnectionPool.check_connection,
            open=False,
        )
        await pool.open(wait=False)
    except psycopg.ProgrammingError:
        raise DependencyError("store.dsn is no Postgres DSN; write postgresql://user:password@host/database") from None
    return pool


def connect(dsn: str, *, name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Open one connection for a command, in autocommit mode.

    Raises:
        DependencyError: the server cannot be reached, or refuses.
    """
    try:
        return psycopg.connect(dsn, autocommit=True, **parameters(name))
    except psycopg.ProgrammingError:
        raise DependencyError("store.dsn is no Postgres DSN; write postgresql://user:password@host/database") from None
    except psycopg.Error as error:
        raise DependencyError(f"cannot reach Postgres ({type(error).__name__}); see store.dsn") from None


def passing(error: BaseException) -> bool:
    """Return whether `error` says that the server, not the statement, is in trouble: trying again may help."""
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.PoolClosed | psycopg_pool.TooManyRequests):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # no answer of the server's: the connection broke
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate in _PASSING or error.sqlstate.startswith("08")


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
