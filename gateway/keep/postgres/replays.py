"""Replays of one router: ordered by any worker or command, each run by one worker at a time.

A worker runs a replay while it has it on lease; asking what to run renews the lease, and so does noting progress. A
lease is measured by the server's clock, so that workers need not agree on the time. One that is restarted does not wait
for the end of its predecessor's: an event of that replay may be what killed it, and must be run with care.
"""

import secrets
from asyncio import Future
from collections.abc import Sequence
from functools import partial

import msgspec

from gateway.keep.ports import Replay
from gateway.keep.postgres.asking import Asker, InOrder
from gateway.keep.postgres.connection import Connection

_LEASE_SECONDS = 15
_KEPT = 1000
_TOKEN = 16  # characters

NOW_US = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
_UNTIL = f"{NOW_US} + {_LEASE_SECONDS} * 1000000"
# A lease that ends later than any does was given before the server's clock was set back.
_OVER = f"owned_until_us not between {NOW_US} and {NOW_US} + 2 * {_LEASE_SECONDS} * 1000000"
_ADOPT = (
    f"update gateway.replay set owner = %(owner)s, owned_until_us = {_UNTIL}"
    " where router = %(router)s and id in (select id from gateway.replay where router = %(router)s"
    f" and state = 'running' and (owner = %(owner)s or {_OVER} or right(owner, -{_TOKEN + 1}) = %(predecessor)s)"
    " for update skip locked) returning document"
)
# What another worker runs, and what is over, stays as it is.
_SAVE = (
    "insert into gateway.replay as r (router, id, state, document, owner, owned_until_us)"
    f" values (%(router)s, %(id)s, %(state)s, %(document)s, %(owner)s, {_UNTIL})"
    " on conflict (router, id) do update set state = excluded.state, document = excluded.document,"
    " owned_until_us = excluded.owned_until_us where r.owner = excluded.owner and r.state = 'running' returning 1"
)
_FORGET = (
    "delete from gateway.replay where router = %(router)s and state <> 'running' and id not in (select id from"
    f" gateway.replay where router = %(router)s and state <> 'running' order by id desc limit {_KEPT})"
)
_LET_GO = "update gateway.replay set owner = '', owned_until_us = 0 where router = %s and owner = %s"


class PostgresReplays:
    """The replays of one router; the thousand last finished ones are remembered, by order of their ids.

    `instance` is the worker's place, the same after a restart, and no other worker's.
    """

    def __init__(self, asker: Asker, *, router: str, instance: str) -> None:
        self._asker = asker
        self._in_order = InOrder(asker)
        self._router = router
        self._instance = instance
        # Not the name alone: one that was replaced by another of its name must not go on with what that one runs.
        self._owner = f"{secrets.token_hex(_TOKEN // 2)} {instance}"
        self._running: dict[str, Replay] = {}

    def save(self, replay: Replay) -> "Future[None]":
        """Insert or replace; changes nothing if another worker has taken the replay over, or it was cancelled."""
        values = {
            "router": self._router,
            "id": replay.id,
            "state": replay.state,
            "document": msgspec.json.encode(replay),
            "owner": self._owner,
        }

        async def work(connection: Connection) -> None:
            saved = await (await connection.execute(_SAVE, values)).fetchone()
            if replay.state != "running":
                await connection.execute(_FORGET, values)
            self._note(replay, mine=saved is not None)

        return self._in_order.begin(work)

    def running(self) -> Sequence[Replay]:
        """Return those of this worker that are not finished, as they durably stand."""
        return tuple(self._running.values())

    async def adopt(self) -> Sequence[Replay]:
        """Return what this worker is to run: its own, new ones, and those whose worker was not heard of for 15 s.

        Raises:
            Unavailable: it cannot be known now.
        """
        return await self._in_order.begin(partial(self._adopt, predecessor=None))

    async def take_over(self) -> None:
        """Have what the dead worker of this place ran, and what else is to be adopted.

        Raises:
            Unavailable: it cannot be known now.
        """
        await self._in_order.begin(partial(self._adopt, predecessor=self._instance))

    async def let_go(self) -> None:
        """Let other workers take over at once.

        Raises:
            Unavailable: it cannot be written; they take over when the lease ends.
        """

        async def work(connection: Connection) -> None:
            await connection.execute(_LET_GO, [self._router, self._owner])

        await self._in_order.begin(work)

    async def _adopt(self, connection: Connection, *, predecessor: str | None) -> Sequence[Replay]:
        values = {"router": self._router, "owner": self._owner, "predecessor": predecessor}
        cursor = await connection.execute(_ADOPT, values)
        found = [read_replay(row[0]) for row in await cursor.fetchall()]
        self._running = {replay.id: replay for replay in sorted(found, key=lambda replay: replay.id)}
        return self.running()

    def _note(self, replay: Replay, *, mine: bool) -> None:
        if mine and replay.state == "running":
            self._running[replay.id] = replay
        else:
            self._running.pop(replay.id, None)


def read_replay(document: bytes) -> Replay:
    """Return a stored replay."""
    return msgspec.json.decode(document, type=Replay)
