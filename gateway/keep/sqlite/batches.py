"""Writing one batch: dedupe decided, rows inserted, one commit, whatever the mixture.

Most batches hold only new ids. Those are inserted without a look into the table of ids first, in one statement that
is its own transaction: what costs in a busy process is each return from SQLite to the interpreter. SQLite refuses the
statement whole if an id is known, and then the batch is judged row by row. While copies keep coming, the look comes
first.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

import apsw
import msgspec

from gateway.core.errors import Unavailable
from gateway.core.event import Event
from gateway.keep.copies import Verdict, body_digest, flags_of, judge
from gateway.keep.envelope import encode
from gateway.keep.ports import Appended, Position
from gateway.keep.sqlite.ids import Ids
from gateway.keep.sqlite.options import Entry

T = TypeVar("T")
Result = Appended | Unavailable
Row = tuple[int, int, bytes, bytes, bytes]

# An error of one of these kinds leaves unknown what is on the disk, now and for all that follows.
FATAL = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)
# These say that nothing was written, and nothing about the rows themselves.
REFUSED = (apsw.FullError, apsw.BusyError, apsw.LockedError, apsw.ReadOnlyError, apsw.CantOpenError)
_ROW_IS_BAD = (apsw.Error, ValueError, TypeError, OverflowError, MemoryError)

# Up to the smallest, a statement has exactly the batch's rows; longer batches are put together from these.
_SIZES = (512, 256, 128, 64)
CACHED_STATEMENTS = 2 * _SIZES[-1] + 32


class Batches:
    """The inserting side of the writer's connection; `last_offset` is that of the newest stored event, 0 if none."""

    def __init__(self, connection: apsw.Connection, ids: Ids) -> None:
        self._connection = connection
        self._ids = ids
        self._look_first = False
        self.last_offset: int = connection.execute("select coalesce(max(seq), 0) from event").get

    def store(self, entries: Sequence[Entry]) -> list[Result]:
        """Make `entries` durable in one commit; return each one's outcome.

        Raises:
            apsw.Error: one of `FATAL`: the outcome is unknown; one of `REFUSED`: nothing was written.
        """
        events = [entry.event for entry in entries]
        if not self._look_first and _all_differ(events) and not self._ids.in_memory(events):
            try:
                return self._store_new(entries)
            except (*FATAL, *REFUSED):
                raise
            except _ROW_IS_BAD:
                pass
        return self._store_judged(entries)

    def _store_new(self, entries: Sequence[Entry]) -> list[Result]:
        first = self.last_offset + 1
        self._insert([_row(offset, entry) for offset, entry in enumerate(entries, start=first)])
        self.last_offset += len(entries)
        results: list[Result] = []
        for offset, entry in enumerate(entries, start=first):
            self._ids.remember(entry.event, offset)
            results.append(Appended(Position(0, offset), flags=entry.event.flags))
        return results

    def _store_judged(self, entries: Sequence[Entry]) -> list[Result]:
        verdicts = self._judge(entries)
        stored = [(verdict, entry) for verdict, entry in zip(verdicts, entries, strict=True) if verdict.store]
        self._look_first = len(stored) < len(entries)
        try:
            with self._transaction():
                self._insert([_row(verdict.offset, entry) for verdict, entry in stored if not verdict.conflict])
                for verdict, entry in stored:
                    if verdict.conflict:
                        self._insert_conflict(verdict, entry)
        except (*FATAL, *REFUSED):
            raise
        except _ROW_IS_BAD:
            return self._store_one_by_one(entries)
        self.last_offset += len(stored)
        self._remember(verdicts, entries)
        return [_appended(verdict, entry) for verdict, entry in zip(verdicts, entries, strict=True)]

    def _store_one_by_one(self, entries: Sequence[Entry]) -> list[Result]:
        """Each row in a commit of its own: one that cannot be stored costs only itself."""
        return [self._store_one(entry) for entry in entries]

    def _store_one(self, entry: Entry) -> Result:
        verdicts = self._judge([entry])
        (verdict,) = verdicts
        try:
            if verdict.store:
                with self._transaction():
                    self._insert_one(verdict, entry)
                self.last_offset = verdict.offset
        except REFUSED as error:
            return refusal(error)
        except FATAL:
            raise
        except _ROW_IS_BAD:
            return Unavailable("log_down", written=False)
        self._remember(verdicts, [entry])
        return _appended(verdict, entry)

    def _judge(self, entries: Sequence[Entry]) -> list[Verdict]:
        events = [entry.event for entry in entries]
        return judge(events, *self._ids.look_up(events), self.last_offset + 1)

    def _remember(self, verdicts: Sequence[Verdict], entries: Sequence[Entry]) -> None:
        for verdict, entry in zip(verdicts, entries, strict=True):
            if verdict.store and not verdict.conflict:
                self._ids.remember(entry.event, verdict.offset)

    def _insert(self, rows: Sequence[Row]) -> None:
        chunks = list(_chunks(rows))
        if len(chunks) > 1 and not self._connection.in_transaction:
            with self._transaction():
                self._insert(rows)
            return
        for chunk in chunks:
            values = ",".join(["(?,?,?,?,?)"] * len(chunk))
            self._connection.execute(f"insert into arrival values {values}", list(itertools.chain.from_iterable(chunk)))

    def _insert_one(self, verdict: Verdict, entry: Entry) -> None:
        if verdict.conflict:
            self._insert_conflict(verdict, entry)
        else:
            self._insert([_row(verdict.offset, entry)])

    def _insert_conflict(self, verdict: Verdict, entry: Entry) -> None:
        event = entry.event
        head = encode(msgspec.structs.replace(event, flags=flags_of(event, verdict)))
        event_row = (verdict.offset, event.received_us, head, event.body)
        conflict_row = (event.identity, body_digest(event), verdict.offset, self._ids.day_of(event))
        self._connection.execute("insert into event (seq, received_us, head, body) values (?,?,?,?)", event_row)
        self._connection.execute("insert into conflict values (?,?,?,?)", conflict_row)

    def _transaction(self) -> "Transaction":
        return Transaction(self._connection)


def refusal(error: Exception) -> Unavailable:
    """Return the answer to an error of `REFUSED`: nothing was written, and the log goes on."""
    return Unavailable("disk_full" if isinstance(error, apsw.FullError) else "log_down", written=False)


class Transaction:
    """`begin immediate` to `commit`; any error on the way rolls back (SQLite has then often done so by itself)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("begin immediate")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        try:
            if kind is None:
                self._connection.execute("commit")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("rollback")


def _all_differ(events: Sequence[Event]) -> bool:
    return len({event.identity for event in events}) == len(events)


def _row(offset: int, entry: Entry) -> Row:
    event = entry.event
    return offset, event.received_us, event.identity, entry.head, event.body


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    while start < len(rows):
        left = len(rows) - start
        size = next((size for size in _SIZES if size <= left), left)
        yield rows[start : start + size]
        start += size


def _appended(verdict: Verdict, entry: Entry) -> Appended:
    return Appended(
        Position(0, verdict.offset),
        duplicate=not verdict.store,
        body_differs=verdict.body_differs,
        flags=flags_of(entry.event, verdict),
    )
