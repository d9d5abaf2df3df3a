"""Marks and the stale guard: the statements, and the groups in which runs without `ctx.tx` are marked.

One group is in flight while the next gathers. A group is one statement, its rows in order of their keys, so that two
workers which mark the same pairs wait for one another and never in a circle: marks first, guards second, everywhere.
Texts of a sender's making (the guard's key) are kept as bytes, because Postgres has no NUL and no lone surrogates.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from gateway.core.errors import Unavailable
from gateway.keep.ports import MarkKey, Outcome, Version
from gateway.keep.postgres.connection import Pool, reaching
from gateway.keep.postgres.names import HandlerNames

_MOST = 1000

_INSERT_MARK = "insert into gateway.mark (handler, dedupe_key, replay, outcome, attempts, at_us)"
_INSERT_GUARD = "insert into gateway.guard (handler, source, key, version, at_us)"
_NOT_BACK = (
    " on conflict (handler, source, key) do update set version = excluded.version, at_us = excluded.at_us"
    " where excluded.version >= guard.version"
)
_MARK = (
    f"{_INSERT_MARK} select * from unnest(%s::integer[], %s::bytea[], %s::text[], %s::text[], %s::integer[],"
    " %s::bigint[]) on conflict do nothing"
)
_MARK_AND_GUARD = (
    f"with moved as ({_INSERT_GUARD} select * from unnest(%s::integer[], %s::bytea[], %s::bytea[], %s::bigint[],"
    f" %s::bigint[]){_NOT_BACK}) {_MARK}"
)


class Mark(NamedTuple):
    """One mark as it is written; `handler` is the name's id."""

    handler: int
    key: MarkKey
    outcome: Outcome
    attempts: int
    at_us: int
    version: Version | None


class _Asked(NamedTuple):
    key: MarkKey
    outcome: Outcome
    attempts: int
    at_us: int
    version: Version | None
    future: "Future[None]"


def mark_sql(mark: Mark) -> str:
    """Return the statement that inserts one mark, and none if it exists."""
    key = mark.key
    return (
        f"{_INSERT_MARK} values ({mark.handler}, {_hex(key.dedupe_key)}, {_text(key.replay)}, {_text(mark.outcome)},"
        f" {mark.attempts:d}, {mark.at_us:d}) on conflict do nothing"
    )


def guard_sql(mark: Mark, version: Version) -> str:
    """Return the statement that moves the guard to `version`, unless it holds a newer one."""
    return (
        f"{_INSERT_GUARD} values ({mark.handler}, {_hex(exact(version.source))}, {_hex(exact(version.key))},"
        f" {version.value:d}, {mark.at_us:d}){_NOT_BACK}"
    )


def exact(text: str) -> bytes:
    """Return a text of whatever making as bytes."""
    return text.encode("utf-8", "surrogatepass")


class Marks:
    """Writes marks in groups."""

    def __init__(self, pool: Pool, names: HandlerNames, *, now_us: Callable[[], int]) -> None:
        self._pool = pool
        self._names = names
        self._now_us = now_us
        self._asked: list[_Asked] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, key: MarkKey, outcome: Outcome, *, version: Version | None, attempt: int) -> "Future[None]":
        """Write a mark with the next group; the future completes when it is durable, or fails with `Unavailable`."""
        future: Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(Unavailable("draining"))
            return future
        self._asked.append(_Asked(key, outcome, attempt, self._now_us(), version, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return future

    async def close(self, patience: float) -> None:
        """Write what was asked for, within `patience` seconds; what is left then fails."""
        self._closed = True
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=patience)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _write_all(self) -> None:
        group: list[_Asked] = []
        try:
            while self._asked:
                group, self._asked = self._asked[:_MOST], self._asked[_MOST:]
                await self._write_group(group)
        finally:
            self._writer = None
            for asked in (*group, *self._asked):
                _fail(asked.future, Unavailable("draining"))

    async def _write_group(self, group: Sequence[_Asked]) -> None:
        try:
            await self._write(group)
        except Unavailable as error:
            for asked in group:
                _fail(asked.future, Unavailable(error.reason, written=error.written))
        except Exception as error:  # noqa: BLE001 - whatever one of them raises must cost that one alone
            if len(group) == 1:
                _fail(group[0].future, error)
                return
            for asked in group:
                await self._write_group([asked])

    async def _write(self, group: Sequence[_Asked]) -> None:
        ids = await self._names.ids({asked.key.handler for asked in group})
        marks = [Mark(ids[asked.key.handler], *asked[:-1]) for asked in group]
        guards = _newest(marks)
        columns = (*_guard_columns(guards), *_mark_columns(marks)) if guards else _mark_columns(marks)
        with reaching(written=True):
            async with self._pool.connection() as connection:
                await connection.execute(_MARK_AND_GUARD if guards else _MARK, columns)
        for asked in group:
            if not asked.future.done():
                asked.future.set_result(None)


def _newest(marks: Iterable[Mark]) -> list[tuple[int, Version, int]]:
    """Return (handler's id, newest version, time) of each guard that the marks move: one statement moves each once."""
    found: dict[tuple[int, str, str], tuple[int, Version, int]] = {}
    for mark in marks:
        if mark.version is None:
            continue
        place = (mark.handler, mark.version.source, mark.version.key)
        if place not in found or found[place][1].value <= mark.version.value:
            found[place] = (mark.handler, mark.version, mark.at_us)
    return [found[place] for place in sorted(found)]


def _mark_columns(marks: list[Mark]) -> tuple[str, ...]:
    marks.sort(key=attrgetter("handler", "key"))
    return (
        numbers(mark.handler for mark in marks),
        blobs(mark.key.dedupe_key for mark in marks),
        texts(mark.key.replay for mark in marks),
        texts(mark.outcome for mark in marks),
        numbers(mark.attempts for mark in marks),
        numbers(mark.at_us for mark in marks),
    )


def _guard_columns(guards: list[tuple[int, Version, int]]) -> tuple[str, ...]:
    return (
        numbers(handler for handler, _, _ in guards),
        blobs(exact(version.source) for _, version, _ in guards),
        blobs(exact(version.key) for _, version, _ in guards),
        numbers(version.value for _, version, _ in guards),
        numbers(at_us for _, _, at_us in guards),
    )


# Arrays as Postgres writes them. The driver's own are some ten times slower, and a mark must be cheap.


def numbers(values: Iterable[int]) -> str:
    """Return an array of integers."""
    return "{" + ",".join(map(str, values)) + "}"


def blobs(values: Iterable[bytes]) -> str:
    """Return an array of bytea."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """Return an array of text."""
    return "{" + ",".join([f'"{_escaped(value)}"' for value in values]) + "}"


def _escaped(text: str) -> str:
    return text if text.isalnum() else text.replace("\\", "\\\\").replace('"', '\\"')


def _hex(value: bytes) -> str:
    return f"'\\x{value.hex()}'"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _fail(future: "Future[None]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
