"""Durable retries and dead letters of one router, shared by its workers.

A worker knows the pairs of the partitions it took: what `holds` answers, what is counted, and what it hands out. It
counts its own changes as they are committed, and reads a partition again when others changed it. Rows of a partition
that no worker takes, as of a source that was removed from the configuration, wait; no worker counts them.

A lane is a (handler, key) within a partition. One key's events have one partition, so that this is the same as the
(handler, key) of one source; nothing ever waits for a row that another worker must run.
"""

import asyncio
import logging
from asyncio import Future
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.core.errors import EnvelopeError
from gateway.keep.pairs import PAIR_COLUMNS, death_values, pair_from, pair_values
from gateway.keep.ports import DeadFilter, DeadLetter, DeadReason, MarkKey, Pair
from gateway.keep.postgres import dead_letters
from gateway.keep.postgres.asking import Asker
from gateway.keep.postgres.connection import Connection
from gateway.keep.postgres.counts import Change, Counts, Lane, Place
from gateway.keep.postgres.grouping import Group
from gateway.keep.postgres.pair_changes import PairChange, change_of, count, write
from gateway.keep.postgres.pair_rows import storable, unnest

_log = logging.getLogger("gateway.keep")

# Reading partitions again takes a tenth of the time at most, however often others change them.
_REST = 10

_REVISIONS = "select partition, revision from gateway.revision where router = %s and partition = any(%s::bigint[])"
_LANES = (
    "select partition, handler, key, count(*) from gateway.parked"
    " where router = %s and partition = any(%s::bigint[]) and (%s::text[] is null or handler = any(%s::text[]))"
    " group by partition, handler, key"
)
_PARKED = (
    "select partition, count(*) from gateway.parked"
    " where router = %s and partition = any(%s::bigint[]) group by partition"
)
_DEAD = (
    "select partition, count(*) from gateway.dead"
    " where router = %s and partition = any(%s::bigint[]) group by partition"
)
# Each partition's own index range, so that rows of others, however many are due, cost nothing.
_DUE = (
    "select p.id, p.partition, " + ", ".join(f"p.{name}" for name in PAIR_COLUMNS.split(", ")) + " from ("
    " select d.id, d.due_us from unnest(%(partitions)s::bigint[]) as t (partition) cross join lateral ("
    "select id, due_us from gateway.parked where router = %(router)s and partition = t.partition"
    " and due_us <= %(now_us)s and id <> all(%(handed)s::bigint[]) order by due_us, id limit %(limit)s) as d"
    " order by d.due_us, d.id limit %(limit)s) as f join gateway.parked p on p.id = f.id order by f.due_us, f.id"
)
_KEYS = f"{unnest('text bytea text')} as g (handler, dedupe_key, replay)"
_SAME = "r.router = %s and r.handler = g.handler and r.dedupe_key = g.dedupe_key and r.replay = g.replay"
_TAKEN = (
    f"with g as (select * from {_KEYS}) select g.* from g where exists (select 1 from gateway.parked r where {_SAME})"
    f" or exists (select 1 from gateway.dead r where {_SAME})"
)


class PostgresParking:
    """The parked pairs of one router.

    `retried` is told the keys of the dead letters that run again; `learn` is awaited before partitions are taken.
    `holds` is right for the handlers of these `strict` names, None for all, and 0 for others.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        router: str,
        now_us: Callable[[], int],
        retried: Callable[[Sequence[MarkKey]], None],
        strict: Collection[str] | None = None,
        learn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._asker = asker
        self._router = router
        self._now_us = now_us
        self._retried = retried
        self._learn = learn
        self._group: Group[PairChange] = Group(asker, self._write, lambda change: change.size)
        self._letters = dead_letters.DeadLetters(asker, router=router, now_us=now_us, told=self._apply)
        self._strict = None if strict is None else frozenset(strict)
        self._counts = Counts(self._strict)
        self._coming: Counter[tuple[str, str]] = Counter()
        self._handed: dict[int, int] = {}
        # A partition is not read while a change of ours is under way: nobody could tell whether it is in what was read.
        self._alone = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._rest_until = 0.0

    async def take(self, partitions: Collection[int]) -> None:
        """Begin to hand out what is parked of these partitions; what is parked there is known when this returns.

        Raises:
            Unavailable: it cannot be known now; nothing was taken.
        """
        if self._learn is not None:
            await self._learn()
        async with self._alone:
            wanted = [number for number in partitions if number not in self._counts.places]
            if wanted:
                await self._read(wanted)

    def release(self, partitions: Collection[int]) -> None:
        """Hand out no more of these partitions; what was handed out of them may come to another worker now."""
        self._counts.drop(partitions)
        gone = frozenset(partitions)
        self._handed = {number: partition for number, partition in self._handed.items() if partition not in gone}

    async def refresh(self) -> bool:
        """Read again what others changed of these partitions; return whether they did.

        Raises:
            Unavailable: it cannot be known now.
        """
        if not self._counts.places or self._loop.time() < self._rest_until:
            return False
        values = [self._router, list(self._counts.places)]
        revisions = dict(await self._asker.ask(lambda connection: _all(connection, _REVISIONS, values)))
        async with self._alone:
            changed = self._counts.changed(revisions)
            if changed:
                began = self._loop.time()
                await self._read(changed)
                self._rest_until = self._loop.time() + (self._loop.time() - began) * _REST
        return bool(changed)

    def park(self, pair: Pair, *, due_us: int, error: str) -> "Future[None]":
        """Keep the pair until `due_us`; replaces its former parked row. Durable when the future completes."""
        return self._add(pair, (*pair_values(pair, error, storable), due_us, self._now_us()))

    def hold(self, pair: Pair) -> "Future[None]":
        """Keep the pair behind those of its lane that are parked; with none of them left, it is due at once."""
        return self._add(pair, (*pair_values(pair, pair.error, storable), None, self._now_us()))

    def holds(self, handler: str, key: str) -> int:
        """Return how many pairs of that (handler, key) are parked or held, those whose write is under way included."""
        where = (handler, storable(key))
        return self._counts.holds(*where) + self._coming.get(where, 0)

    async def taken(self, keys: Sequence[MarkKey]) -> Collection[MarkKey]:
        """Return those of `keys` that are durably parked, held or dead, whoever put them there."""
        if not keys:
            return frozenset()
        columns = [list(column) for column in zip(*keys, strict=True)]
        values = [*columns, self._router, self._router]
        rows = await self._asker.ask(lambda connection: _all(connection, _TAKEN, values))
        return {MarkKey(*row) for row in rows}

    async def due(self, now_us: int, limit: int) -> Sequence[Pair]:
        """Return pairs whose time has come, each once until it is parked again; after a restart they come anew."""
        places = {number: place for number, place in self._counts.places.items() if place.parked}
        if not places:
            return ()
        values = {
            "router": self._router,
            "partitions": list(places),
            "now_us": now_us,
            "handed": list(self._handed),
            "limit": limit,
        }
        rows = await self._asker.ask(lambda connection: _all(connection, _DUE, values))
        # A partition may have left meanwhile, and even have come back.
        return self._hand_out([row for row in rows if self._counts.places.get(row[1]) is places[row[1]]])

    def settle(self, pair: Pair) -> "Future[None]":
        """Remove the parked row and the dead letter of a finished pair, and let the next held of its key become due."""
        return self._group.submit(change_of(pair, "gone"))

    def bury(self, pair: Pair, *, reason: DeadReason, error: str, trace: str) -> "Future[None]":
        """Make the pair a dead letter, in one step with `settle`. `error` is cut at 2 KiB, `trace` at its last 16."""
        row = (*pair_values(pair, error, storable), *death_values(pair, reason, trace, storable), self._now_us())
        return self._group.submit(change_of(pair, "dead", row))

    def parked(self) -> int:
        """Return how many pairs of the partitions taken are parked or held."""
        return self._counts.parked()

    def dead(self) -> int:
        """Return how many dead letters the partitions taken have."""
        return self._counts.dead()

    async def dead_letters(self, where: DeadFilter, *, limit: int, after_id: int = 0) -> Sequence[DeadLetter]:
        """Return dead letters of the router, oldest first."""
        return await self._asker.ask(
            lambda connection: dead_letters.listed(connection, self._router, where, limit=limit, after_id=after_id)
        )

    async def retry_dead(self, where: DeadFilter) -> int:
        """Make dead letters parked pairs, due at once, with no attempt and no crash counted; return how many."""
        return await self._letters.retry(where)

    async def purge_dead(self, where: DeadFilter) -> int:
        """Remove dead letters for good; return how many."""
        return await self._letters.purge(where)

    def _add(self, pair: Pair, row: tuple[Any, ...]) -> "Future[None]":
        change = change_of(pair, "parked", row)
        where = (change.lane.handler, change.lane.key)
        self._coming[where] += 1
        future = self._group.submit(change)
        future.add_done_callback(lambda _: self._arrived(where))
        return future

    def _arrived(self, where: tuple[str, str]) -> None:
        self._coming[where] -= 1
        if not self._coming[where]:
            del self._coming[where]

    async def _write(self, batch: Sequence[PairChange]) -> None:
        async with self._alone:
            self._apply(await self._asker.ask(lambda connection: write(connection, self._router, batch)))
            # The next of a lane starts when this is told to be written, and asks what waits there.
            unsure = self._counts.unsure({change.lane for change in batch})
            if unsure:
                self._counts.correct(await self._asker.ask(lambda connection: count(connection, self._router, unsure)))
        for change in batch:
            if change.parked_id is not None:
                self._handed.pop(change.parked_id, None)

    def _apply(self, change: Change, retried: Sequence[MarkKey] = ()) -> None:
        self._counts.apply(change)
        for number in change.rows:
            self._handed.pop(number, None)
        if retried:
            self._retried(retried)

    def _hand_out(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[Pair]:
        pairs: list[Pair] = []
        for number, partition, *columns in rows:
            self._handed[number] = partition
            try:
                pairs.append(pair_from(columns, parked_id=number))
            except EnvelopeError:
                # It stays parked and counted: a newer gateway wrote it, and may read it again.
                _log.exception("parking.unreadable", extra={"router": self._router, "parked_id": number})
        return pairs

    async def _read(self, partitions: Sequence[int]) -> None:
        before = {number: self._counts.places.get(number) for number in partitions}
        places = await self._asker.ask(partial(_places, self._router, partitions, self._strict))
        for partition, place in places.items():
            if self._counts.places.get(partition) is before[partition]:  # else it left meanwhile
                self._counts.take(partition, place)


async def _places(
    router: str, partitions: Sequence[int], strict: Collection[str] | None, connection: Connection
) -> Mapping[int, Place]:
    """Return what is known of the partitions at one moment."""
    values = [router, list(partitions)]
    names = None if strict is None else list(strict)
    async with connection.pipeline():
        await connection.execute("begin isolation level repeatable read, read only")
        revisions, parked, dead = [
            await connection.execute(sql, values, prepare=False) for sql in (_REVISIONS, _PARKED, _DEAD)
        ]
        lanes = await connection.execute(_LANES, [*values, names, names], prepare=False)
        await connection.execute("commit")
    places = {partition: Place() for partition in partitions}
    for partition, revision in await revisions.fetchall():
        places[partition] = Place(revision)
    for partition, rows in await parked.fetchall():
        places[partition].parked = rows
    for *where, rows in await lanes.fetchall():
        lane = Lane(*where)
        places[lane.partition].lanes[lane.handler, lane.key] = rows
    for partition, letters in await dead.fetchall():
        places[partition].dead = letters
    return places


async def _all(connection: Connection, sql: str, values: Any) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(sql, values, prepare=False)
    return await cursor.fetchall()
