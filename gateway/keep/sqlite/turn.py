"""A handler's transaction: one turn of the router's database, a savepoint within the group's transaction.

The mark is inserted before the handler's first statement. A turn that outlives its limit is rolled back by the loop's
timer, and whatever the handler still asks of it raises `TimeoutError`.
"""

import asyncio
import time
from asyncio import Future
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import apsw

from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.requests import seen

_SAVEPOINT, _RELEASE, _UNDO = "savepoint gateway_turn", "release gateway_turn", "rollback to gateway_turn"
_TOO_LONG = "the handler held its transaction for longer than the router's tx_timeout"
_NATIVE = frozenset({int, float, str, bytes, type(None)})


class SqliteTurn:
    """A turn, asked for at once; `granted` completes when it is held, or with the reason why it never will be.

    `enter` is called first in the savepoint; what it raises undoes the savepoint and becomes `granted`'s exception.
    """

    def __init__(self, committer: Committer, enter: Callable[[apsw.Connection], None], limit: float) -> None:
        loop = asyncio.get_running_loop()
        self.granted: Future[None] = loop.create_future()
        self.over: Exception | None = None
        self._committer = committer
        self._enter = enter
        self._limit = limit
        self._held = False
        self._timer: asyncio.TimerHandle | None = None
        self._tx = SqliteTx(self, committer)
        committer.ask_turn(self)

    @property
    def tx(self) -> "SqliteTx":
        """What the handler is given."""
        return self._tx

    def finish(self) -> "Future[None]":
        """Release the savepoint; the future completes when mark and rows are durable together.

        Raises:
            TimeoutError: the turn was over its limit and is rolled back.
            Unavailable: its transaction was lost.
        """
        self.check()
        with self._committer.fence.own():
            self._committer.connection.execute(_RELEASE)
        self._end(RuntimeError("the handler's transaction has ended"))
        return self._committer.end_turn(keep=True)

    async def rollback(self) -> None:
        """Undo the mark and the handler's rows; does nothing if the turn is over already."""
        if self._held:
            self.undo(RuntimeError("the handler's transaction was rolled back"))

    def check(self) -> None:
        """Raise why the turn is over, if it is."""
        if self.over is not None:
            raise self.over

    def undo(self, reason: Exception) -> None:
        """Roll the turn back, for `reason`, and let the next one begin."""
        self._end(reason)
        try:
            self._undo_savepoint()
        except apsw.Error as error:
            if not self._committer.survived(error):
                return
        self._committer.end_turn(keep=False)

    # Waiter

    def open(self) -> bool:
        """Start within the group's transaction; return whether the turn is now held."""
        if self.granted.done():
            return False
        connection = self._committer.connection
        connection.execute(_SAVEPOINT)
        try:
            self._enter(connection)
        except Exception as error:  # noqa: BLE001 - an outcome, or a fault of this one request: it goes to who asked
            if self._committer.survived(error):
                self._undo_savepoint()
                self._committer.undone()
            self.fail(seen(error))
            return False
        self._held = True
        self._timer = asyncio.get_running_loop().call_later(self._limit, self._expire)
        self._committer.fence.until = time.monotonic() + self._limit
        self.granted.set_result(None)
        return True

    def fail(self, error: Exception) -> None:
        """Learn that the turn will not come, or that its transaction is lost."""
        self._end(error)
        if not self.granted.done():
            self.granted.set_exception(error)

    def lost_to(self, error: apsw.Error) -> Exception:
        """Return why the turn is over, when a statement of its own undid the whole group.

        An endless write or an `or rollback` is the run's own failure. Called unavailable, it would be run again for
        ever, and each time undo its neighbours.
        """
        if isinstance(error, apsw.InterruptError):
            self.over = TimeoutError(_TOO_LONG)
        elif isinstance(error, apsw.ConstraintError):
            self.over = error
        return self.over or error

    def _expire(self) -> None:
        self.undo(TimeoutError(_TOO_LONG))

    def _undo_savepoint(self) -> None:
        with self._committer.fence.own():
            self._committer.connection.execute(_UNDO)
            self._committer.connection.execute(_RELEASE)

    def _end(self, reason: Exception) -> None:
        self.over = reason
        self._held = False
        self._committer.fence.until = float("inf")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class SqliteTx:
    """A handler's view of its turn.

    Parameters are named (`:name`). None, int, float, str and bytes are stored as they are; a bool as 0 or 1, an aware
    datetime as ISO 8601 text in UTC, a date as ISO text, Decimal and UUID as text. Anything else is refused.
    """

    __slots__ = ("_committer", "_turn")

    def __init__(self, turn: SqliteTurn, committer: Committer) -> None:
        self._turn = turn
        self._committer = committer

    @property
    def connection(self) -> apsw.Connection:
        """The driver's own connection, under the same fence; it is the handler's only until the handler returns."""
        self._turn.check()
        return self._committer.connection

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement; return the number of rows it changed.

        Raises:
            ValueError: several statements, or a parameter is missing.
            TypeError: a parameter's type cannot be stored.
            PermissionError: the statement is none of a handler's.
            TimeoutError: the turn is over its limit.
            Unavailable: the disk is full, or the transaction was lost.
            apsw.Error: whatever else SQLite says, `apsw.ConstraintError` for one.
        """
        before = self._committer.connection.total_changes()
        self._rows(sql, parameters, None)
        connection = self._committer.connection
        return connection.changes() if connection.total_changes() != before else 0

    async def fetch_one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """Run one query; return its first row. Raises as `execute` does."""
        rows = self._rows(sql, parameters, 1)
        return rows[0] if rows else None

    async def fetch_all(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one query; return all its rows. Raises as `execute` does."""
        return self._rows(sql, parameters, None)

    def _rows(self, sql: str, parameters: Mapping[str, Any] | None, most: int | None) -> list[tuple[Any, ...]]:
        self._turn.check()
        prepared = self._committer.fence.prepare(sql)
        values = _values(parameters)
        try:
            cursor = self._committer.connection.execute(prepared, values)
            if most is None:
                return cursor.fetchall()
            row = cursor.fetchone()
            # An unfinished statement would hold its read lock into the next turn.
            cursor.close(force=True)
            return [] if row is None else [row]
        except KeyError as error:
            raise ValueError(f"the statement's parameter :{error.args[0]} was not given") from None
        except apsw.BindingsError:
            raise ValueError("ctx.tx takes named parameters: write :name, and give a mapping") from None
        except apsw.Error as error:
            raise self._judged(error) from error

    def _judged(self, error: apsw.Error) -> Exception:
        """Return what the handler is to see of a failed statement."""
        if not self._committer.survived(error):
            return self._turn.lost_to(error)
        if isinstance(error, apsw.AuthError):
            return PermissionError(f"ctx.tx refuses this statement: {self._committer.fence.refusal}")
        return seen(error)


def _values(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    if not parameters:
        return {}
    return {name: value if type(value) in _NATIVE else _stored(name, value) for name, value in parameters.items()}


def _stored(name: str, value: object) -> int | float | str | bytes:
    if isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"parameter :{name} is a datetime without a time zone")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise TypeError(f"parameter :{name} is a {type(value).__name__}, which no column can hold")
