"""Crash blame for several workers (design 6.9): who was there, who is gone, and which pair was running alone.

A worker is present while its row is renewed. It is named by its place (host, log, router), so that one that starts
finds the row of the one before it, which died. A row that nobody renewed for 20 s is of a worker whose machine died;
whoever starts next takes it away and is careful, and so is nobody else. All ages are by the server's clock.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Sequence

from gateway.keep.ports import MarkKey
from gateway.keep.postgres.asking import Asker, InOrder
from gateway.keep.postgres.connection import Connection
from gateway.keep.postgres.replays import NOW_US

_log = logging.getLogger("gateway.keep")

BEAT_SECONDS = 5.0
_GONE_SECONDS = 20

# Workers that start together come one after the other.
_ALONE = "select 1 from gateway.router where name = %s for update"
_GONE = (
    "delete from gateway.worker where router = %s"
    f" and (instance = %s or seen_us < {NOW_US} - {_GONE_SECONDS} * 1000000) returning instance"
)
_PRESENT = (
    f"insert into gateway.worker (router, instance, seen_us) values (%s, %s, {NOW_US})"
    " on conflict (router, instance) do update set seen_us = excluded.seen_us"
)
_COUNT = (
    "insert into gateway.crash as c (router, handler, dedupe_key, replay, crashes) values (%s, %s, %s, %s, 1)"
    " on conflict (router, handler, dedupe_key, replay) do update set crashes = c.crashes + 1 returning crashes"
)
# Notes without a worker that could still end them: those of the dead, and of ours before us.
_NOTES = (
    "delete from gateway.running where router = %s and (instance = any(%s::text[]) or not exists"
    " (select 1 from gateway.worker w where w.router = running.router and w.instance = running.instance))"
    " returning handler, dedupe_key, replay"
)
_FORGET_MARKED = (
    "delete from gateway.crash c using gateway.handler h, gateway.mark m where c.router = %s and h.router = c.router"
    " and h.name = c.handler and m.handler = h.id and m.dedupe_key = c.dedupe_key and m.replay = c.replay"
)
_CRASHES = "select handler, dedupe_key, replay, crashes from gateway.crash where router = %s"
_NOTE = (
    "insert into gateway.running as r (router, instance, handler, dedupe_key, replay) values (%s, %s, %s, %s, %s)"
    " on conflict (router, handler, dedupe_key, replay) do update set instance = excluded.instance"
)
_UNNOTE = (
    "delete from gateway.running where router = %s and instance = %s"
    " and handler = %s and dedupe_key = %s and replay = %s"
)


class PostgresBlame:
    """The crashes of one router, and the presence of one of its workers. `take_over` comes first."""

    def __init__(self, asker: Asker, *, router: str, instance: str) -> None:
        self._asker = asker
        self._in_order = InOrder(asker)
        self._router = router
        self._me = (router, instance)
        self._unclean = False
        self._left = False
        self._beat_at = 0.0
        self._crashes: dict[MarkKey, int] = {}

    async def take_over(self) -> None:
        """Be present, and turn the notes of dead workers into crashes.

        Raises:
            Unavailable: the server cannot be asked now.
        """
        self._unclean = await self._asker.ask(self._take_over)
        self._beat_at = asyncio.get_running_loop().time() + BEAT_SECONDS
        await self.refresh()

    async def refresh(self) -> None:
        """Learn the crashes that are counted now.

        Raises:
            Unavailable: they cannot be known now.
        """
        self._crashes = await self._asker.ask(self._read)

    async def beat(self) -> None:
        """Renew the presence, every 5 s however often it is called. One who was thought dead is present again.

        Raises:
            Unavailable: it cannot be renewed now.
        """
        now = asyncio.get_running_loop().time()
        if self._left or now < self._beat_at:
            return

        async def work(connection: Connection) -> None:
            if not self._left:
                await connection.execute(_PRESENT, self._me)

        await self._in_order.begin(work)
        self._beat_at = now + BEAT_SECONDS

    def unclean(self) -> bool:
        """Return whether a worker of this router was found dead when this one started."""
        return self._unclean

    def clean_exit(self) -> "Future[None]":
        """Note that this worker ended in order: it is present no more."""
        self._left = True

        async def work(connection: Connection) -> None:
            await connection.execute("delete from gateway.worker where router = %s and instance = %s", self._me)

        return self._in_order.begin(work)

    def started_alone(self, key: MarkKey) -> "Future[None]":
        """Note durably that this pair now runs with nothing beside it."""

        async def work(connection: Connection) -> None:
            await connection.execute(_NOTE, (*self._me, *key))

        return self._in_order.begin(work)

    def finished_alone(self, key: MarkKey) -> None:
        """Forget the note, soon. The crashes stay counted until the pair has a mark."""

        async def work(connection: Connection) -> None:
            await connection.execute(_UNNOTE, (*self._me, *key))

        self._in_order.begin(work)  # a note that stays costs one wrong count at most

    def crashed(self, key: MarkKey) -> "Future[int]":
        """Count a crash against the pair, durably, in place of its note; return how many there are now."""

        async def work(connection: Connection) -> int:
            async with connection.transaction():
                await connection.execute(_UNNOTE, (*self._me, *key))
                return await _count(connection, self._router, key)

        def done(crashes: int) -> None:
            self._crashes[key] = crashes

        return self._in_order.begin(work, done)

    def crashes(self, key: MarkKey) -> int:
        """Return the crashes counted against the pair, those of a note left by a dead worker included."""
        return self._crashes.get(key, 0)

    def forget(self, keys: Sequence[MarkKey]) -> None:
        """Drop from memory what a committed write removed."""
        for key in keys:
            self._crashes.pop(key, None)

    async def _take_over(self, connection: Connection) -> bool:
        async with connection.transaction():
            await connection.execute(_ALONE, [self._router])
            gone = [row[0] for row in await (await connection.execute(_GONE, self._me)).fetchall()]
            await connection.execute(_PRESENT, self._me)
            notes = await connection.execute(_NOTES, [self._router, [*gone, self._me[1]]])
            for key in await notes.fetchall():
                await _count(connection, self._router, MarkKey(*key))
                _log.warning("blame.crashed_alone", extra={"router": self._router, "handler": key[0]})
            await connection.execute(_FORGET_MARKED, [self._router])
        return bool(gone)

    async def _read(self, connection: Connection) -> dict[MarkKey, int]:
        rows = await (await connection.execute(_CRASHES, [self._router])).fetchall()
        return {MarkKey(*key): crashes for *key, crashes in rows}


async def _count(connection: Connection, router: str, key: MarkKey) -> int:
    row = await (await connection.execute(_COUNT, (router, *key))).fetchone()
    return 0 if row is None else int(row[0])
