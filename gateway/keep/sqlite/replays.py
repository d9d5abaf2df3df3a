"""Replays of one router, and whether the router is paused: small durable values, held in memory for reading."""

from asyncio import Future
from collections.abc import Sequence

import apsw
import msgspec

from gateway.keep.ports import Replay
from gateway.keep.sqlite.committer import Committer

_SAVE = "insert or replace into gateway_replay (id, state, document) values (?, ?, ?)"
_KEPT = 1000


class SqliteReplays:
    """The replays of one router; the thousand last finished ones are remembered, by order of their ids."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        rows = committer.connection.execute("select document from gateway_replay where state = 'running' order by id")
        self._running = {replay.id: replay for replay in (read_replay(row[0]) for row in rows)}

    def save(self, replay: Replay) -> "Future[None]":
        """Insert or replace; with progress it joins the next group."""
        values = (replay.id, replay.state, msgspec.json.encode(replay))
        return self._committer.submit(lambda connection: _save(connection, values), lambda _: self._note(replay))

    def running(self) -> Sequence[Replay]:
        """Return those not finished, as they durably stand."""
        return tuple(self._running.values())

    async def adopt(self) -> Sequence[Replay]:
        """Return those not finished: the router has one worker."""
        return self.running()

    def _note(self, replay: Replay) -> None:
        if replay.state == "running":
            self._running[replay.id] = replay
        else:
            self._running.pop(replay.id, None)


class SqlitePausing:
    """Whether one router is paused. A pause counts at once, and outlives the process when its future completes."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        row = committer.connection.execute("select value from gateway_meta where key = 'paused'").fetchone()
        self._cause = "" if row is None else str(row[0])

    def paused(self) -> str:
        """Return the cause (`operator`, `breaker`), empty if the router runs."""
        return self._cause

    def set_paused(self, cause: str) -> "Future[None]":
        """Pause for `cause`, or resume if it is empty."""
        self._cause = cause
        return self._committer.submit(lambda connection: _pause(connection, cause))


def read_replay(document: bytes) -> Replay:
    """Return a stored replay."""
    return msgspec.json.decode(document, type=Replay)


def _save(connection: apsw.Connection, values: tuple[str, str, bytes]) -> None:
    connection.execute(_SAVE, values)
    if values[1] != "running":
        connection.execute(
            "delete from gateway_replay where state <> 'running' and id not in"
            " (select id from gateway_replay where state <> 'running' order by id desc limit ?)",
            (_KEPT,),
        )


def _pause(connection: apsw.Connection, cause: str) -> None:
    connection.execute("insert or replace into gateway_meta (key, value) values ('paused', ?)", (cause,))
