"""Questions of a command to Postgres: over one connection, each answer whole, each failure with its remedy."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from gateway.core.errors import DependencyError

Connection = psycopg.Connection[tuple[Any, ...]]


def ask(connection: Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of one statement.

    Raises:
        DependencyError: it cannot be answered; no message holds a value.
    """
    try:
        return connection.execute(sql.encode(), values).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise DependencyError("Postgres has no tables of the gateway yet; run `gateway store migrate`") from None
    except psycopg.errors.QueryCanceled:
        raise DependencyError("Postgres did not answer in time; ask for less, with --source or --since") from None
    except psycopg.Error as error:
        raise DependencyError(f"Postgres does not answer ({type(error).__name__}); see store.dsn") from None
