"""What can be asked of the embedded log and the state files, beside a running gateway. Reads only, in short slices."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gateway.core.errors import EnvelopeError
from gateway.keep.ports import DeadLetter, Filter, PairStatus, Position, Stored, Summary
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.connection import open_reader
from gateway.keep.sqlite.filters import conditions, offsets_of, stored, summary
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER

_SCAN_ROWS = 5000


class SqliteCatalogue:
    """The catalogue of the log in `folder`.

    Raises:
        DependencyError: there is no log, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection = open_reader(folder / FILE_NAME)

    def events(
        self, where: Filter, *, limit: int, newest_first: bool, after: Position | None = None
    ) -> Iterator[Summary]:
        """Return stored events in order of position, those that cannot be decoded left out."""
        for seq, head, size in self._rows(where, newest_first=newest_first, after=after):
            if limit <= 0:
                return
            try:
                found = summary(seq, head, size)
            except EnvelopeError:
                continue
            yield found
            limit -= 1

    def end(self) -> Position | None:
        """Return the place of the last stored event; None if there is none."""
        _, last = self._bounds()
        return Position(0, last) if last else None

    def count(self, where: Filter) -> int:
        """Return how many stored events fit; without a filter this counts nothing."""
        first, last = self._bounds()
        if where == Filter():
            return last - first + 1
        more, values = conditions(where)
        sql = f"select count(*) from event where seq >= ? and seq <= ?{more}"
        return sum(
            int(self._connection.execute(sql, (start, min(start + _SCAN_ROWS - 1, last), *values)).get)
            for start in range(first, last + 1, _SCAN_ROWS)
        )

    def event(self, source: str, event_id: str) -> Sequence[Stored]:
        """Return the stored copies of that event with their bodies (several only after an id conflict)."""
        found = []
        for seq in offsets_of(self._connection, source, event_id):
            row: Any = self._connection.execute("select head, body from event where seq = ?", (seq,)).fetchone()
            if row is not None:
                found.append(stored(seq, *row))
        return found

    def states(self, stored: Stored) -> Sequence[PairStatus]:
        """Return what each handler of each router made of it."""
        return [status for path in self._state_paths() for status in state_reader.pair_states(path, stored)]

    def dead_letters(self, router: str | None, *, limit: int, after_id: int = 0) -> Iterator[DeadLetter]:
        """Return dead letters, oldest first; `after_id` counts within one router."""
        found = [
            letter
            for path in self._state_paths()
            if router in (None, path.stem)
            for letter in state_reader.dead_letters(path, limit=limit, after_id=after_id)
        ]
        yield from sorted(found, key=lambda letter: (letter.died_us, letter.router, letter.id))[:limit]

    def gaps(self) -> Sequence[tuple[str, int, int, int, int]]:
        """Return (router, first offset, last offset, events, when in microseconds) of each gap retention made."""
        rows: list[Any] = self._connection.execute("select * from gap order by at_us, router").fetchall()
        return rows

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def _state_paths(self) -> list[Path]:
        return sorted((self._folder / STATE_FOLDER).glob("*.db"))

    def _bounds(self) -> tuple[int, int]:
        # Two selects: asked for both at once, SQLite walks the whole table.
        sql = "select coalesce((select min(seq) from event), 1), coalesce((select max(seq) from event), 0)"
        row: Any = self._connection.execute(sql).fetchone()
        return row[0], row[1]

    def _rows(self, where: Filter, *, newest_first: bool, after: Position | None) -> Iterator[tuple[int, bytes, int]]:
        """Walk the log slice by slice, each slice one short read."""
        more, values = conditions(where)
        order = "desc" if newest_first else "asc"
        sql = f"select seq, head, length(body) from event where seq >= ? and seq <= ?{more} order by seq {order}"
        first, last = self._bounds()
        if after is not None:
            first, last = (first, min(last, after.offset - 1)) if newest_first else (max(first, after.offset + 1), last)
        while first <= last:
            low = max(first, last - _SCAN_ROWS + 1) if newest_first else first
            high = last if newest_first else min(last, first + _SCAN_ROWS - 1)
            rows: list[Any] = self._connection.execute(sql, (low, high, *values)).fetchall()
            yield from rows
            first, last = (first, low - 1) if newest_first else (high + 1, last)
