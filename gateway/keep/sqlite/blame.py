"""Crash blame (design 6.9): which pair was running alone when the worker died, and how often that happened."""

import logging
from asyncio import Future
from collections.abc import Sequence

import apsw

from gateway.keep.ports import MarkKey
from gateway.keep.sqlite.committer import Committer

_log = logging.getLogger("gateway.keep")

_SAME = "handler = ? and dedupe_key = ? and replay = ?"
_COUNT = (
    "insert into gateway_crash (handler, dedupe_key, replay, crashes) values (?, ?, ?, 1)"
    " on conflict do update set crashes = crashes + 1 returning crashes"
)
_FORGET_MARKED = (
    "delete from gateway_crash where exists (select 1 from gateway_mark m join gateway_handler h on h.id = m.handler"
    " where h.name = gateway_crash.handler and m.dedupe_key = gateway_crash.dedupe_key"
    " and m.replay = gateway_crash.replay)"
)
_CLEAN = "insert or replace into gateway_meta (key, value) values ('clean', ?)"


class SqliteBlame:
    """The crashes of one router; `unclean` is what `take_over` said when the file was opened."""

    def __init__(self, committer: Committer, *, unclean: bool) -> None:
        self._committer = committer
        self._unclean = unclean
        rows = committer.connection.execute("select handler, dedupe_key, replay, crashes from gateway_crash")
        self._crashes: dict[MarkKey, int] = {MarkKey(*key): crashes for *key, crashes in rows}

    def unclean(self) -> bool:
        """Return whether the last worker of this router ended without `clean_exit`."""
        return self._unclean

    def clean_exit(self) -> "Future[None]":
        """Note that this worker ended in order."""
        return self._committer.submit(lambda connection: _execute(connection, _CLEAN, (1,)))

    def started_alone(self, key: MarkKey) -> "Future[None]":
        """Note durably that this pair now runs with nothing beside it."""
        return self._committer.submit(
            lambda connection: _execute(connection, "insert or ignore into gateway_running values (?, ?, ?)", key)
        )

    def finished_alone(self, key: MarkKey) -> None:
        """Forget the note, in the next group. The crashes stay counted until the pair has a mark."""
        future = self._committer.submit(
            lambda connection: _execute(connection, f"delete from gateway_running where {_SAME}", key)
        )
        # Nobody waits for it: a note that stays costs one wrong count at most, and the committer reports its failures.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def crashed(self, key: MarkKey) -> "Future[int]":
        """Count a crash against the pair, durably, in place of its note; return how many there are now."""

        def write(connection: apsw.Connection) -> int:
            connection.execute(f"delete from gateway_running where {_SAME}", key)
            return int(connection.execute(_COUNT, key).get)

        def done(crashes: int) -> None:
            self._crashes[key] = crashes

        return self._committer.submit(write, done)

    def crashes(self, key: MarkKey) -> int:
        """Return the crashes counted against the pair, those of a note left by a dead worker included."""
        return self._crashes.get(key, 0)

    def forget(self, keys: Sequence[MarkKey]) -> None:
        """Drop from memory what a committed write removed."""
        for key in keys:
            self._crashes.pop(key, None)


def take_over(connection: apsw.Connection) -> bool:
    """Turn the notes of a dead worker into crashes; return whether it died. Runs in the opening transaction."""
    row = connection.execute("select value from gateway_meta where key = 'clean'").fetchone()
    for key in connection.execute("select handler, dedupe_key, replay from gateway_running").fetchall():
        connection.execute(_COUNT, key).fetchall()
        _log.warning("blame.crashed_alone", extra={"handler": key[0]})
    connection.execute("delete from gateway_running")
    connection.execute(_FORGET_MARKED)
    connection.execute(_CLEAN, (0,))
    return row is not None and not row[0]


def _execute(connection: apsw.Connection, sql: str, values: Sequence[object]) -> None:
    connection.execute(sql, tuple(values))
