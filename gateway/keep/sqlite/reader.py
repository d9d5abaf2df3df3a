"""Reading `events.db` beside its writer. Every read is one short transaction, so that the write-ahead log can reset."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.ports import Filter, Stored
from gateway.keep.sqlite.connection import open_reader
from gateway.keep.sqlite.filters import conditions, stored
from gateway.keep.sqlite.schema import MIGRATIONS

_SCAN_ROWS = 5000
_END = 2**63 - 1


class SqliteReader:
    """One read-only connection to the log's file at `path`, for one thread at a time.

    Raises:
        DependencyError: there is no log, or it cannot be read.
        GatewayError: a newer gateway wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_reader(path)
        try:
            version = int(self._connection.pragma("user_version"))
        except apsw.Error as error:
            self._connection.close()
            raise DependencyError(f"cannot read {path.name} ({error})") from error
        if version != len(MIGRATIONS):
            self._connection.close()
            raise GatewayError(f"{path.name} has schema {version}, this gateway reads {len(MIGRATIONS)}")

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> list[Stored]:
        """Return the records that follow `seq` in order, at least one if there is any."""
        return self._read("", [], (seq, _END), max_events, max_bytes)

    def read_where(self, where: Filter, *, after: int, upto: int, max_events: int, max_bytes: int) -> list[Stored]:
        """Return the next records past `after` and up to `upto` that fit; at least one if there is any."""
        more, values = conditions(where)
        upto = min(upto, self.last_seq())
        after = max(after, self.first_seq() - 1)
        while after < upto:
            until = min(upto, after + _SCAN_ROWS)
            found = self._read(more, values, (after, until), max_events, max_bytes)
            if found:
                return found
            after = until
        return []

    def read_each(self, seqs: Sequence[int], max_bytes: int) -> list[Stored]:
        """Return the oldest of these records that fit, at least one if there is any."""
        if not seqs:
            return []
        more = " and seq in (select value from json_each(?))"
        return self._read(more, [json.dumps(list(seqs))], (min(seqs) - 1, max(seqs)), len(seqs), max_bytes)

    def raw(self, seq: int) -> tuple[bytes, bytes]:
        """Return a record's head and body as they are stored, readable or not; empty if it is not there."""
        row: Any = self._connection.execute("select head, body from event where seq = ?", (seq,)).fetchone()
        return (b"", b"") if row is None else (_raw(row[0]), _raw(row[1]))

    def _read(
        self, more: str, values: list[Any], between: tuple[int, int], max_events: int, max_bytes: int
    ) -> list[Stored]:
        sql = f"select seq, head, body from event where seq > ? and seq <= ?{more} order by seq limit ?"
        found: list[Stored] = []
        cursor = self._connection.cursor()
        try:
            for row in cursor.execute(sql, (*between, *values, max_events)):
                seq, head, body = cast(tuple[int, bytes, bytes], row)
                max_bytes -= len(head) + len(body)
                if found and max_bytes < 0:
                    break
                found.append(stored(seq, head, body))
        finally:
            cursor.close(force=True)  # an unfinished statement would hold the write-ahead log back
        return found

    def last_seq(self) -> int:
        """Return the offset of the newest event, 0 if none was ever stored: where a new router starts."""
        return int(self._connection.execute("select coalesce(max(seq), 0) from event").get)

    def first_seq(self) -> int:
        """Return the offset of the oldest event still stored, 1 if there is none."""
        return int(self._connection.execute("select coalesce(min(seq), 1) from event").get)

    def log_id(self) -> str:
        """Return the log's id: cursors belong to it."""
        return str(self._connection.execute("select value from meta where key = 'log_id'").get)

    def count_after(self, seq: int) -> int:
        """Return how many events follow `seq`: offsets have no holes, so this counts nothing."""
        return max(0, self.last_seq() - max(seq, self.first_seq() - 1))

    def oldest_received_after(self, seq: int) -> int | None:
        """Return when the first event that follows `seq` was received, in microseconds, or None."""
        sql = "select received_us from event where seq > ? order by seq limit 1"
        value: Any = self._connection.execute(sql, (seq,)).get
        return value if value is None else int(value)

    def gap_events(self, router: str) -> int:
        """Return how many events retention removed before `router` had handled them, ever."""
        sql = "select coalesce(sum(events), 0) from gap where router = ?"
        return int(self._connection.execute(sql, (router,)).get)

    def close(self) -> None:
        """Let go of the file. A second call does nothing."""
        self._connection.close()


def _raw(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
