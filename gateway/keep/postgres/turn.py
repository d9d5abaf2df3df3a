"""A handler's transaction: one pair's turn, on a connection of its own.

The mark is inserted before the handler's first statement, in one message with BEGIN. Each of the handler's statements
stands behind a savepoint, so that one that fails undoes itself alone. A turn that outlives its limit is rolled back by
the loop's timer, or, should this process stand still, by the server's.
"""

import asyncio
from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from math import ceil
from typing import Any, TypeVar

import psycopg
from psycopg.errors import LockNotAvailable, QueryCanceled
from psycopg.pq import TransactionStatus

from gateway.core.errors import Unavailable
from gateway.keep.ports import AlreadyDone, StaleEvent
from gateway.keep.postgres.connection import Connection, Pool, passing, reaching
from gateway.keep.postgres.marks import Mark, guard_sql, mark_sql
from gateway.keep.postgres.statements import bind, prepare

T = TypeVar("T")
Cursor = psycopg.AsyncCursor[tuple[Any, ...]]

_BEGIN = "begin isolation level read committed read write"
_SAVEPOINT = "savepoint gateway_statement"
_NEXT = b"release savepoint gateway_statement; savepoint gateway_statement"
_UNDO = b"rollback to savepoint gateway_statement"
_UNDO_AND_COMMIT = b"rollback to savepoint gateway_statement; commit"
_TOO_LONG = "the handler held its transaction for longer than the router's tx_timeout"
_CHANGES = ("INSERT", "UPDATE", "DELETE", "MERGE")
# The server ends what this process did not: later than this process would.
_SPARE_SECONDS = 1.0


class Tasks:
    """Tasks that go on when who began them was cancelled; whoever made this waits for them in the end."""

    def __init__(self) -> None:
        self._running: set[Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> "Task[T]":
        """Run `work` in a task that is kept."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def end(self, patience: float) -> None:
        """Wait up to `patience` seconds for them, then cancel the rest."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def enter(cursor: Cursor, mark: Mark, limit: float) -> None:
    """Open a pair's transaction: the mark, the guard, and the server's own limits (`limit` in seconds).

    Raises:
        AlreadyDone: the mark exists; a run of the same pair that was under way was waited for.
        StaleEvent: the guard holds a newer version.
        Unavailable: the transaction cannot be had.
    """
    guard = None if mark.version is None else guard_sql(mark, mark.version)
    limits = (
        f"set local statement_timeout = {ceil(limit * 1000)}",
        f"set local idle_in_transaction_session_timeout = {ceil((limit + _SPARE_SECONDS) * 1000)}",
    )
    message = "; ".join(part for part in (_BEGIN, mark_sql(mark), guard, _SAVEPOINT, *limits) if part)
    with reaching():
        await cursor.execute(message.encode(), prepare=False)
    cursor.nextset()
    if cursor.rowcount == 0:
        raise AlreadyDone
    if guard is not None and cursor.nextset() and cursor.rowcount == 0:
        raise StaleEvent


async def give_back(pool: Pool, connection: Connection) -> None:
    """Roll back what is open on the connection and return it; what a handler had in hand is closed."""
    lent, connection.lent = connection.lent, False
    connection.patience = Connection.patience
    try:
        if lent:
            await connection.close()
        elif connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await connection.rollback()
    except psycopg.Error:
        await connection.close()
    finally:
        await pool.putconn(connection)


class PostgresTurn:
    """A turn that was entered; it ends by `finish`, by `rollback`, or after `limit` seconds by itself.

    `cursor` is the connection's, and serves all of the turn's statements: a new one for each would cost more than the
    rest of this file.
    """

    def __init__(self, pool: Pool, connection: Connection, cursor: Cursor, limit: float, tasks: Tasks) -> None:
        connection.patience = max(Connection.patience, limit + _SPARE_SECONDS)
        self._pool = pool
        self._connection = connection
        self._cursor = cursor
        self._tasks = tasks
        self._over: Exception | None = None
        self._alone = asyncio.Lock()
        self._busy = False
        self._first: bytes | None = None  # what is to be said before the next statement
        self._timer = asyncio.get_running_loop().call_later(limit, self._expire)
        self._tx = PostgresTx(self)

    @property
    def tx(self) -> "PostgresTx":
        """What the handler is given."""
        return self._tx

    def finish(self) -> "Task[None]":
        """Commit; the task completes when mark and rows are durable together.

        It fails with `Unavailable` if the connection is lost: the outcome is unknown then, and the next run meets the
        mark or none. It fails with the driver's error if a deferred constraint says no.

        Raises:
            TimeoutError: the turn was over its limit and is rolled back.
            Unavailable: its transaction was lost.
        """
        self.check()
        self._end(RuntimeError("the handler's transaction has ended"))
        return self._tasks.start(self._commit())

    async def rollback(self) -> None:
        """Undo the mark and the handler's rows; does nothing if the turn is over already."""
        if self._over is None:
            await asyncio.shield(self._undo(RuntimeError("the handler's transaction was rolled back")))

    def check(self) -> None:
        """Raise why the turn is over, if it is."""
        if self._over is not None:
            raise self._over

    def lend(self) -> Connection:
        """Return the driver's own connection."""
        self.check()
        self._connection.lent = True
        return self._connection

    async def run(self, sql: bytes, values: Mapping[str, Any] | None, fetch: Callable[[Cursor], Awaitable[T]]) -> T:
        """Run one statement behind the savepoint; return what `fetch` takes from its result."""
        async with self._alone:
            self.check()
            self._busy = True
            try:
                if self._first is not None:
                    await self._cursor.execute(self._first, prepare=False)
                self._first = _UNDO
                await self._cursor.execute(sql, values)
            except psycopg.Error as error:
                raise self._judged(error) from error
            finally:
                self._busy = False
            self._first = _NEXT
            return await fetch(self._cursor)

    def _judged(self, error: psycopg.Error) -> Exception:
        """Return what the handler is to see of a failed statement."""
        if self._over is not None:  # the statement was cancelled because the turn is over
            if not isinstance(error, QueryCanceled) and passing(error):  # and the server did not even answer to that
                self._over = Unavailable("store_down")
            return self._over
        if isinstance(error, QueryCanceled):
            reason: Exception = TimeoutError(_TOO_LONG)
        elif passing(error) and not isinstance(error, LockNotAvailable):
            reason = Unavailable("store_down")
        else:
            return error
        self._undo(reason)
        return reason

    async def _commit(self) -> None:
        async with self._alone:
            self._connection.patience = Connection.patience
            try:
                await self._say_commit()
            except QueryCanceled:  # of a deferred constraint's trigger
                raise TimeoutError(_TOO_LONG) from None
            except psycopg.Error as error:
                if passing(error):
                    raise Unavailable("store_down", written=None) from error
                raise
            finally:
                await give_back(self._pool, self._connection)

    async def _say_commit(self) -> None:
        if self._connection.pgconn.transaction_status == TransactionStatus.IDLE:
            raise RuntimeError("the handler ended its transaction itself, through ctx.tx.connection")
        text = _UNDO_AND_COMMIT if self._first == _UNDO else b"commit"
        await self._cursor.execute(text, prepare=False)
        while self._cursor.nextset():
            pass
        if self._cursor.statusmessage != "COMMIT":  # the server answers so to the COMMIT of a failed transaction
            raise RuntimeError("a statement of ctx.tx.connection failed, and with it the handler's transaction")

    def _expire(self) -> None:
        self._undo(TimeoutError(_TOO_LONG))

    def _undo(self, reason: Exception) -> "Task[None]":
        self._end(reason)
        return self._tasks.start(self._leave())

    async def _leave(self) -> None:
        if self._busy:
            await self._connection.cancel_safe()
        async with self._alone:
            await give_back(self._pool, self._connection)

    def _end(self, reason: Exception) -> None:
        self._over = reason
        self._timer.cancel()


class PostgresTx:
    """A handler's view of its turn.

    Parameters are named (`:name`). None, bool, int, float, str and bytes are what they are; an aware datetime goes as
    ISO 8601 text in UTC, a date as ISO text, Decimal and UUID as text. A text has no type of its own: Postgres gives it
    that of the column, or of the cast, where it stands. Anything else is refused. Rows come back as the driver reads
    them: numeric as Decimal, timestamptz as an aware datetime.
    """

    __slots__ = ("_turn",)

    def __init__(self, turn: PostgresTurn) -> None:
        self._turn = turn

    @property
    def connection(self) -> Connection:
        """The driver's own connection (`psycopg.AsyncConnection`); it is the handler's until the handler returns.

        Whoever takes it goes without the fence, and one connection is opened anew afterwards.
        """
        return self._turn.lend()

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement; return the number of rows it changed.

        Raises:
            ValueError: several statements, a parameter is missing, or a text that Postgres cannot hold.
            TypeError: a parameter's type cannot be stored.
            OverflowError: an int beyond 64 bits.
            PermissionError: the statement is none of a handler's.
            TimeoutError: the turn is over its limit.
            Unavailable: the transaction was lost.
            psycopg.Error: whatever else Postgres says, `psycopg.IntegrityError` for one.
        """
        return await self._run(sql, parameters, _changed)

    async def fetch_one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """Run one query; return its first row. Raises as `execute` does."""
        return await self._run(sql, parameters, _first_row)

    async def fetch_all(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one query; return all its rows. Raises as `execute` does."""
        return await self._run(sql, parameters, _all_rows)

    async def _run(self, sql: str, parameters: Mapping[str, Any] | None, fetch: Callable[[Cursor], Awaitable[T]]) -> T:
        self._turn.check()
        statement = prepare(sql)
        if statement.refusal is not None:
            raise PermissionError(f"ctx.tx refuses this statement: {statement.refusal}")
        return await self._turn.run(statement.text.encode(), bind(statement, parameters), fetch)


async def _changed(cursor: Cursor) -> int:
    return cursor.rowcount if (cursor.statusmessage or "").startswith(_CHANGES) else 0


async def _first_row(cursor: Cursor) -> tuple[Any, ...] | None:
    return None if cursor.description is None else await cursor.fetchone()


async def _all_rows(cursor: Cursor) -> list[tuple[Any, ...]]:
    return [] if cursor.description is None else await cursor.fetchall()
