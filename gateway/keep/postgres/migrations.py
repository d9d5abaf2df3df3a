"""The version of the gateway's schema: what it is, whether this gateway fits it, and the way forward.

`gateway store migrate` applies; a start only verifies. One migration is one transaction, under a lock that lets a
second run wait for the first. There is no way back: a schema that a newer gateway made is refused.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from gateway.core.errors import DependencyError
from gateway.keep.postgres.connection import Session, connect, passing
from gateway.keep.postgres.schema import MIGRATIONS

NEWEST = len(MIGRATIONS)
OLDEST_SERVER = 14
_LOCK = 0x6761746577617900  # an advisory lock is a number that all agree on
_LIMITS = "set local lock_timeout = '60s'; set local statement_timeout = '30min'"
_PATIENCE = 31 * 60.0
_HAS_SCHEMA = "select exists (select from pg_namespace where nspname = 'gateway')"
_HAS_VERSION = "select to_regclass('gateway.version') is not null"
_CREATE_VERSION = (
    "create table if not exists gateway.version (version integer primary key, at timestamptz not null default now())"
)
_WANTED_RIGHTS = ("select", "insert", "update", "delete")
_LACKING_RIGHTS = """
select string_agg(distinct wanted, ', ')
from pg_class, unnest(%s::text[]) as wanted
where relnamespace = 'gateway'::regnamespace and relkind = 'r' and not has_table_privilege(pg_class.oid, wanted)
"""


@contextmanager
def session(dsn: str, name: str) -> Iterator[Session]:
    """Connect for as long as the block lasts.

    Raises:
        DependencyError: the server cannot be reached, fails within the block, or refuses a statement of it.
    """
    with connect(dsn, name=name) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            said = error.diag.message_primary or "the connection was lost"
            again = "; try again" if passing(error) else ""
            raise DependencyError(f"Postgres failed: {said}{again}") from error


def version(connection: Session) -> int:
    """Return the version of the schema there, 0 if there is none.

    Raises:
        DependencyError: the user may not look.
    """
    with _rights(connection):
        return _version(connection)


def pending(connection: Session) -> Sequence[int]:
    """Return the versions that are still to come.

    Raises:
        DependencyError: a newer gateway made the schema, or the user may not look.
    """
    with _rights(connection):
        return _pending(connection)


def apply(dsn: str) -> Sequence[int]:
    """Bring the schema up to date; return the versions that were applied. Two at a time wait for one another.

    Raises:
        DependencyError: the server cannot be reached, the user lacks a right, or a newer gateway made the schema.
    """
    applied = []
    with session(dsn, "store migrate") as connection:
        _check_server(connection)
        connection.patience = _PATIENCE
        while (done := _apply_next(connection)) is not None:
            applied.append(done)
    return applied


def verify(dsn: str) -> None:
    """Look whether this gateway can work there; return if so.

    Raises:
        DependencyError: it cannot; the message has the remedy.
    """
    with session(dsn, "verify") as connection:
        verify_session(connection)


def verify_session(connection: Session) -> None:
    """As `verify`, on a connection that is there."""
    _check_server(connection)
    if pending(connection):
        there = version(connection)
        state = f"has version {there}, and this gateway needs {NEWEST}" if there else "does not exist yet"
        raise DependencyError(f"the gateway's schema in Postgres {state}; run `gateway store migrate`")
    with _rights(connection):
        lacking = _one(connection, _LACKING_RIGHTS, [list(_WANTED_RIGHTS)])
    if lacking:
        user = connection.info.user
        raise DependencyError(
            f"the database user {user} lacks rights on the gateway's tables ({lacking}); their owner can run:"
            f" grant {', '.join(_WANTED_RIGHTS)} on all tables in schema gateway to {_name(user)}"
        )


def _apply_next(connection: Session) -> int | None:
    """Apply the next migration in one transaction; return its version, None if there is none."""
    with _rights(connection, needed="usage, create"), connection.transaction():
        connection.execute(_LIMITS)
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        coming = _pending(connection)
        if not coming:
            return None
        if not _one(connection, _HAS_SCHEMA):
            connection.execute("create schema gateway")
        connection.execute(_CREATE_VERSION)
        connection.execute(MIGRATIONS[coming[0] - 1].encode())
        connection.execute("insert into gateway.version (version) values (%s)", [coming[0]])
        return coming[0]


def _pending(connection: Session) -> Sequence[int]:
    there = _version(connection)
    if there > NEWEST:
        raise DependencyError(
            f"the schema in Postgres has version {there}, and this gateway knows {NEWEST}: a newer gateway made it;"
            " run that one"
        )
    return range(there + 1, NEWEST + 1)


def _version(connection: Session) -> int:
    if not _one(connection, _HAS_SCHEMA) or not _one(connection, _HAS_VERSION):
        return 0
    return int(_one(connection, "select coalesce(max(version), 0) from gateway.version"))


def _check_server(connection: Session) -> None:
    server = connection.info.server_version // 10_000
    if server < OLDEST_SERVER:
        raise DependencyError(f"Postgres {server} is too old; the gateway needs {OLDEST_SERVER} or newer")
    encoding = _one(connection, "show server_encoding")
    if encoding != "UTF8":
        raise DependencyError(f"the database's encoding is {encoding}; create one with encoding 'UTF8'")


@contextmanager
def _rights(connection: Session, *, needed: str = "usage") -> Iterator[None]:
    """Say of a refused statement which right is missing, and who can give it; `needed` are those on the schema."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise DependencyError(_remedy(connection, error, needed)) from error


def _remedy(connection: Session, error: psycopg.Error, needed: str) -> str:
    user, database = connection.info.user, connection.info.dbname
    said = (error.diag.message_primary or "").lower()
    if "for database" in said:
        return (
            f"the database user {user} may not create the schema gateway in {database}; someone who may can run:"
            f" create schema gateway authorization {_name(user)}"
        )
    if "for schema" in said:
        return (
            f"the database user {user} may not use the schema gateway; its owner can run:"
            f" grant {needed} on schema gateway to {_name(user)}"
        )
    return f"the database user {user} lacks a right ({said}); run this as the owner of the schema gateway's tables"


def _name(user: str) -> str:
    return '"' + user.replace('"', '""') + '"'


def _one(connection: Session, sql: str, values: Sequence[Any] | None = None) -> Any:
    row = connection.execute(sql.encode(), values).fetchone()
    return None if row is None else row[0]
