"""The fence between a handler's SQL and the gateway's: what may be prepared on the shared connection, and how long.

SQLite asks the authorizer once, when a statement is prepared, and the driver keeps prepared statements by their text.
So a handler's text always carries a prefix that none of the gateway's own statements has: it can never be served one
that was prepared without the fence.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import apsw

Mode = Literal["closed", "own", "turn", "schema"]

_PREFIX = "/* handler */ "
_REMEMBERED = 1000
# SQLite's virtual machine runs some ten million of these a second: the clock is asked about every few milliseconds.
_STEPS = 50_000
_COMMENTS = re.compile(r"--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)", re.DOTALL)
_CREATE = re.compile(r"create\s+(?:unique\s+)?(?:table|index|view|trigger)\s+if\s+not\s+exists\b", re.IGNORECASE)
_ROLLBACK = re.compile(r"\brollback\b", re.IGNORECASE)

_ROWS = frozenset({apsw.SQLITE_READ, apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})
_QUERY = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE})
_CREATES = frozenset(
    {
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_CREATE_VIEW,
        apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_REINDEX,
    }
)


class Fence:
    """The connection's authorizer and progress handler.

    `mode` says whose statements may be prepared now: `own` the gateway's, `turn` a handler's, `schema` a router's
    `create` statements, `closed` none. `until` (monotonic seconds) is when a running statement is aborted.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.mode: Mode = "closed"
        self.until = float("inf")
        self.refusal = ""
        self._checked: dict[str, str] = {}
        connection.set_authorizer(self._authorize)
        connection.set_progress_handler(self._late, _STEPS)

    @contextmanager
    def own(self) -> Iterator[None]:
        """Let the gateway's own statements through."""
        before, self.mode = self.mode, "own"
        try:
            yield
        finally:
            self.mode = before

    @contextmanager
    def schema(self) -> Iterator[None]:
        """Let a router's `create` statements through."""
        before, self.mode = self.mode, "schema"
        try:
            yield
        finally:
            self.mode = before

    def prepare(self, sql: str) -> str:
        """Return a handler's statement as it is to be executed.

        Raises:
            ValueError: it is more than one statement, or none.
        """
        prepared = self._checked.get(sql)
        if prepared is None:
            if len(split(sql)) != 1:
                raise ValueError("ctx.tx takes one statement at a time")
            if len(self._checked) >= _REMEMBERED:
                self._checked.clear()
            prepared = self._checked[sql] = _PREFIX + sql
        return prepared

    def _late(self) -> bool:
        return time.monotonic() > self.until

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if self.mode == "own" or self._allows(action, first, second):
            return apsw.SQLITE_OK
        self.refusal = _describe(action, first, second)
        return apsw.SQLITE_DENY

    def _allows(self, action: int, first: str | None, second: str | None) -> bool:
        if self.mode == "closed":
            return False
        if action in _QUERY:
            return True
        if self.mode == "turn":
            return action in _ROWS and _is_free(first)
        if action in _ROWS:
            return _is_free(first) or first in {"sqlite_master", "sqlite_sequence"}
        return action in _CREATES and _may_create(first) and _may_create(second)


def split(script: str) -> list[str]:
    """Return the statements of `script`, without those that are comments alone."""
    pieces, start, place = [], 0, script.find(";")
    while place >= 0:
        # `complete` knows strings, comments and the semicolons inside a trigger.
        if apsw.complete(script[start : place + 1]):
            pieces.append(script[start : place + 1])
            start = place + 1
        place = script.find(";", place + 1)
    pieces.append(script[start:])
    return [piece for piece in pieces if bare(piece).strip("; \t\r\n")]


def bare(statement: str) -> str:
    """Return `statement` without the comments before its first word (and, harmlessly, most of the others)."""
    return _COMMENTS.sub(" ", statement).strip()


def schema_fault(statement: str) -> str | None:
    """Return why a statement of a router's schema is refused, or None."""
    text = bare(statement)
    if _CREATE.match(text) is None:
        return "only `create table|index|view|trigger if not exists` may stand in a schema"
    if _ROLLBACK.search(text) is not None:
        return "a schema may not roll back: the transaction is shared by the router's handlers"
    return None


def _is_free(table: str | None) -> bool:
    return table is None or not table.lower().startswith(("gateway_", "sqlite_"))


def _may_create(name: str | None) -> bool:
    return _is_free(name) or (name is not None and name.startswith(("sqlite_autoindex_", "sqlite_sequence")))


def _describe(action: int, first: str | None, second: str | None) -> str:
    word = str(apsw.mapping_authorizer_function[action]).removeprefix("SQLITE_").lower().replace("_", " ")
    name = first if action not in _QUERY else second
    return f"{word} {name}" if name else word
