"""Durable retries and dead letters of one router.

A pair has at most one parked row and one dead letter, found by its mark's key: parking it again, or burying it after a
crash made it run again, replaces. A lane (handler, key) that has rows always has one that is due or will be: the held
ones wait for it in order of position. What is counted here follows the commits, what `holds` answers also what is
under way.
"""

import logging
from asyncio import Future
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import apsw

from gateway.core.errors import EnvelopeError
from gateway.keep.pairs import (
    DEAD_COLUMNS,
    PAIR_COLUMNS,
    dead_from,
    death_values,
    mark_key,
    pair_from,
    pair_values,
)
from gateway.keep.ports import DeadFilter, DeadLetter, DeadReason, MarkKey, Pair
from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.pair_rows import dead_where, lane, storable

_log = logging.getLogger("gateway.keep")

Lane = tuple[str, str]

_SAME = "handler = ? and dedupe_key = ? and replay = ?"
_PLACES = ", ".join("?" * 13)
_PARK = (
    f"insert or replace into gateway_parked (id, {PAIR_COLUMNS}, due_us, at_us)"
    f" values (?, {_PLACES}, ?, ?) returning id"
)
_BURY = (
    f"insert or replace into gateway_dead (id, {PAIR_COLUMNS}, source, event_id, type, reason, trace, died_us)"
    f" values (?, {_PLACES}, ?, ?, ?, ?, ?, ?)"
)
_PROMOTE = (
    "update gateway_parked set due_us = 0 where id ="
    " (select id from gateway_parked where handler = ?1 and key = ?2 order by partition, offset limit 1)"
    " and not exists (select 1 from gateway_parked where handler = ?1 and key = ?2 and due_us is not null)"
)
_RETRY = (
    f"insert or replace into gateway_parked (id, {PAIR_COLUMNS}, due_us, at_us)"
    " select ?, handler, dedupe_key, replay, key, partition, offset, 0, replay_id, new_keys, null, error, head, body,"
    " 0, ? from gateway_dead where id = ?"
)
_SLICE = 100


@dataclass(slots=True)
class _Change:
    """What a group's commit changes in the counts: rows by lane, dead letters, and rows that may be handed out anew."""

    lanes: Counter[Lane] = field(default_factory=Counter)
    dead: int = 0
    again: list[int] = field(default_factory=list)
    keys: list[MarkKey] = field(default_factory=list)


class SqliteParking:
    """The parked pairs of one router. `retried` is told the keys of the dead letters that are to run again."""

    def __init__(
        self,
        committer: Committer,
        *,
        router: str,
        now_us: Callable[[], int],
        retried: Callable[[Sequence[MarkKey]], None],
    ) -> None:
        self._committer = committer
        self._router = router
        self._now_us = now_us
        self._retried = retried
        self._lanes: Counter[Lane] = _count_lanes(committer.connection)
        self._parked = self._lanes.total()
        self._dead = _count_dead(committer.connection)
        self._coming: Counter[Lane] = Counter()
        self._handed: set[int] = set()

    async def take(self, partitions: Collection[int]) -> None:
        """Do nothing: all pairs are this worker's."""

    def release(self, partitions: Collection[int]) -> None:
        """Do nothing, as `take`."""

    def park(self, pair: Pair, *, due_us: int, error: str) -> "Future[None]":
        """Keep the pair until `due_us`; replaces its former parked row. Durable when the future completes."""
        values, at_us = pair_values(pair, error, storable), self._now_us()
        return self._add(pair, lambda connection: _park(connection, pair, (*values, due_us, at_us)))

    def hold(self, pair: Pair) -> "Future[None]":
        """Keep the pair behind those of its lane that are parked; with none of them left, it is due at once."""
        values, at_us = pair_values(pair, pair.error, storable), self._now_us()
        return self._add(pair, lambda connection: _park(connection, pair, (*values, None, at_us)))

    def holds(self, handler: str, key: str) -> int:
        """Return how many pairs of that (handler, key) are parked or held, those whose write is under way included."""
        where = (handler, storable(key))
        return self._lanes.get(where, 0) + self._coming.get(where, 0)

    async def taken(self, keys: Sequence[MarkKey]) -> Collection[MarkKey]:
        """Return those of `keys` that are durably parked, held or dead."""
        if not self._parked and not self._dead:
            return frozenset()
        return await self._committer.read(lambda connection: {key for key in keys if _is_taken(connection, key)})

    async def due(self, now_us: int, limit: int) -> Sequence[Pair]:
        """Return pairs whose time has come, each once until it is parked again; after a restart they come anew."""
        if not self._parked:
            return ()
        return await self._committer.read(lambda connection: self._hand_out(connection, now_us, limit))

    def settle(self, pair: Pair) -> "Future[None]":
        """Remove the parked row and the dead letter of a finished pair, and let the next held of its key become due."""
        return self._submit(lambda connection: _settle(connection, pair))

    def bury(self, pair: Pair, *, reason: DeadReason, error: str, trace: str) -> "Future[None]":
        """Make the pair a dead letter, in one step with `settle`. `error` is cut at 2 KiB, `trace` at its last 16."""
        more = death_values(pair, reason, trace, storable)
        values = (*pair_values(pair, error, storable), *more, self._now_us())

        def write(connection: apsw.Connection) -> _Change:
            change = _settle(connection, pair)
            connection.execute(_BURY, (None, *values))
            change.dead += 1
            return change

        return self._submit(write)

    def parked(self) -> int:
        """Return how many pairs are parked or held."""
        return self._parked

    def dead(self) -> int:
        """Return how many dead letters there are."""
        return self._dead

    async def dead_letters(self, where: DeadFilter, *, limit: int, after_id: int = 0) -> Sequence[DeadLetter]:
        """Return dead letters, oldest first."""
        return await self._committer.read(
            lambda connection: read_dead(connection, self._router, where, limit=limit, after_id=after_id)
        )

    async def retry_dead(self, where: DeadFilter) -> int:
        """Make dead letters parked pairs, due at once, with no attempt and no crash counted; return how many."""
        at_us = self._now_us()
        return await self._each_slice(where, partial(_retry, at_us))

    async def purge_dead(self, where: DeadFilter) -> int:
        """Remove dead letters for good; return how many."""
        return await self._each_slice(where, _purge)

    async def _each_slice(self, where: DeadFilter, act: Callable[[Sequence[int], apsw.Connection], _Change]) -> int:
        """Act on the dead letters that fit now, in groups small enough to delay nobody."""
        numbers = await self._committer.read(lambda connection: _dead_ids(connection, where))
        done = 0
        for start in range(0, len(numbers), _SLICE):
            change = await self._committer.submit(partial(act, numbers[start : start + _SLICE]), self._apply)
            done -= change.dead
        return done

    def _add(self, pair: Pair, write: Callable[[apsw.Connection], _Change]) -> "Future[None]":
        where = lane(pair)
        self._coming[where] += 1
        future = self._submit(write)
        future.add_done_callback(lambda _: self._arrived(where))
        return future

    def _arrived(self, where: Lane) -> None:
        self._coming[where] -= 1
        if not self._coming[where]:
            del self._coming[where]

    def _submit(self, write: Callable[[apsw.Connection], _Change]) -> "Future[None]":
        # Callers wait for it and use nothing of its value, which is for the counts.
        return cast("Future[None]", self._committer.submit(write, self._apply))

    def _apply(self, change: _Change) -> None:
        for where, rows in change.lanes.items():
            self._lanes[where] += rows
            self._parked += rows
            if not self._lanes[where]:
                del self._lanes[where]
        self._dead += change.dead
        self._handed.difference_update(change.again)
        if change.keys:
            self._retried(change.keys)

    def _hand_out(self, connection: apsw.Connection, now_us: int, limit: int) -> Sequence[Pair]:
        pairs: list[Pair] = []
        for number in _due_ids(connection, now_us, self._handed, limit):
            self._handed.add(number)
            rows = connection.execute(f"select {PAIR_COLUMNS} from gateway_parked where id = ?", (number,)).fetchall()
            try:
                pairs += [pair_from(row, parked_id=number) for row in rows]
            except EnvelopeError:
                # It stays parked and counted: a newer gateway wrote it, and may read it again.
                _log.exception("parking.unreadable", extra={"router": self._router, "parked_id": number})
        return pairs


def read_dead(
    connection: apsw.Connection, router: str, where: DeadFilter, *, limit: int, after_id: int
) -> list[DeadLetter]:
    """Return up to `limit` dead letters with ids past `after_id`, oldest first."""
    condition, values = dead_where(where)
    rows = connection.execute(
        f"select {DEAD_COLUMNS} from gateway_dead where ({condition}) and id > ? order by id limit ?",
        (*values, after_id, limit),
    )
    return [dead_from(router, row) for row in rows]


def _park(connection: apsw.Connection, pair: Pair, values: tuple[object, ...]) -> _Change:
    key = mark_key(pair)
    row = connection.execute(f"select id from gateway_parked where {_SAME}", key).fetchone()
    former = None if row is None else row[0]
    number = int(connection.execute(_PARK, (former, *values)).get)
    change = _Change(Counter({lane(pair): 1 if row is None else 0}), again=[number])
    connection.execute(f"delete from gateway_dead where {_SAME}", key)
    change.dead = -connection.changes()
    connection.execute(_PROMOTE, lane(pair))
    return change


def _settle(connection: apsw.Connection, pair: Pair) -> _Change:
    key, where = mark_key(pair), lane(pair)
    gone: list[Any] = connection.execute(f"delete from gateway_parked where {_SAME} returning id", key).fetchall()
    connection.execute(f"delete from gateway_dead where {_SAME}", key)
    dead = -connection.changes()
    connection.execute(_PROMOTE, where)
    return _Change(Counter({where: -len(gone)}), dead=dead, again=[row[0] for row in gone])


def _retry(at_us: int, numbers: Sequence[int], connection: apsw.Connection) -> _Change:
    change = _Change()
    for number in numbers:
        row = connection.execute(
            "select handler, dedupe_key, replay, key from gateway_dead where id = ?", (number,)
        ).fetchone()
        if row is None:
            continue
        key = MarkKey(*row[:3])
        former = connection.execute(f"select id from gateway_parked where {_SAME}", key).fetchone()
        connection.execute(_RETRY, (None if former is None else former[0], at_us, number))
        change.again += [] if former is None else [former[0]]
        change.lanes[row[0], row[3]] += 1 if former is None else 0
        change.keys.append(key)
        _forget(connection, key)
    change.dead = -_remove(connection, numbers)
    return change


def _forget(connection: apsw.Connection, key: MarkKey) -> None:
    connection.execute(
        "delete from gateway_mark where handler = (select id from gateway_handler where name = ?)"
        " and dedupe_key = ? and replay = ?",
        key,
    )
    connection.execute(f"delete from gateway_crash where {_SAME}", key)


def _purge(numbers: Sequence[int], connection: apsw.Connection) -> _Change:
    return _Change(dead=-_remove(connection, numbers))


def _remove(connection: apsw.Connection, numbers: Sequence[int]) -> int:
    removed = 0
    for number in numbers:
        connection.execute("delete from gateway_dead where id = ?", (number,))
        removed += connection.changes()
    return removed


def _dead_ids(connection: apsw.Connection, where: DeadFilter) -> list[int]:
    condition, values = dead_where(where)
    rows: Iterable[Any] = connection.execute(f"select id from gateway_dead where {condition} order by id", values)
    return [row[0] for row in rows]


def _due_ids(connection: apsw.Connection, now_us: int, handed: Collection[int], limit: int) -> list[int]:
    chosen: list[int] = []
    cursor = connection.execute("select id from gateway_parked where due_us <= ? order by due_us, id", (now_us,))
    for (number,) in cursor:
        if number not in handed:
            chosen.append(number)
            if len(chosen) >= limit:
                break
    cursor.close(force=True)
    return chosen


def _is_taken(connection: apsw.Connection, key: MarkKey) -> bool:
    return any(
        connection.execute(f"select 1 from {table} where {_SAME}", key).fetchone() is not None
        for table in ("gateway_parked", "gateway_dead")
    )


def _count_lanes(connection: apsw.Connection) -> Counter[Lane]:
    rows = connection.execute("select handler, key, count(*) from gateway_parked group by handler, key")
    return Counter({(handler, key): count for handler, key, count in rows})


def _count_dead(connection: apsw.Connection) -> int:
    return int(connection.execute("select count(*) from gateway_dead").get)
