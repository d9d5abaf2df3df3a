"""What can be asked of the index and the routers' state in Postgres, from any machine. Reads only, page by page."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gateway.core.event import identity_digest
from gateway.keep.ports import DeadLetter, Filter, PairStatus, Position, Stored, Summary
from gateway.keep.postgres import state_reader
from gateway.keep.postgres.index import exact
from gateway.keep.postgres.pair_rows import storable
from gateway.keep.postgres.questions import Connection, ask

_PAGE = 1000
_COLUMNS = (
    'partition, "offset", source, provider, event_id, type, time_us, received_us, key, body_sha256, body_bytes, flags'
)
_CONDITIONS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("source", "source = %s", storable),
    ("type", "type = %s", exact),
    ("id", "event_id = %s", exact),
    ("key", "key = %s", exact),
    ("since_us", "received_us >= %s", int),
    ("until_us", "received_us < %s", int),
)


class _Order(NamedTuple):
    """An order of events: what to sort by, the columns that tell a row's place in it, and what follows a place."""

    by: str
    place: str
    follows: str


_NEWEST_FIRST = _Order(
    'received_us desc, partition desc, "offset" desc',
    'received_us, partition, "offset"',
    '(received_us, partition, "offset") < (%s, %s, %s)',
)
_AS_INDEXED = _Order("seq", "seq", "seq > %s")


class PostgresCatalogue:
    """The catalogue of a log whose index is in Postgres; owns `connection`.

    `body_of` reads one record of the log: its position and source -> the record, or None if the log has it no more.
    Its methods raise DependencyError where Postgres, or the log, cannot be asked.
    """

    def __init__(self, connection: Connection, body_of: Callable[[Position, str], Stored | None]) -> None:
        self._connection = connection
        self._body_of = body_of

    def events(
        self, where: Filter, *, limit: int, newest_first: bool, after: Position | None = None
    ) -> Iterator[Summary]:
        """Return indexed events: the last received first, or else in the order in which they were indexed.

        The latter is for following: what is indexed late comes late, and is not passed over.
        """
        order = _NEWEST_FIRST if newest_first else _AS_INDEXED
        conditions, values = _conditions(where)
        place: Sequence[Any] = ()
        if after is not None:
            place = self._place(order, after)
            if not place and newest_first:
                return  # it was the oldest, and expired
        width = order.place.count(",") + 1
        while limit > 0:
            tests = [*conditions, order.follows] if place else conditions
            sql = f"select {order.place}, {_COLUMNS} from gateway.event{_where(tests)} order by {order.by} limit %s"
            rows = ask(self._connection, sql, (*values, *place, min(limit, _PAGE)))
            yield from (_summary(row[width:]) for row in rows)
            if len(rows) < _PAGE:
                return
            place, limit = rows[-1][:width], limit - len(rows)

    def end(self) -> Position | None:
        """Return the place of the event indexed last, None if there is none."""
        rows = ask(self._connection, 'select partition, "offset" from gateway.event order by seq desc limit 1')
        return Position(*rows[0]) if rows else None

    def count(self, where: Filter) -> int:
        """Return how many indexed events fit."""
        conditions, values = _conditions(where)
        ((count,),) = ask(self._connection, f"select count(*) from gateway.event{_where(conditions)}", values)
        return int(count)

    def event(self, source: str, event_id: str) -> Sequence[Stored]:
        """Return the stored copies of that event with their bodies (several only after an id conflict).

        One that the log stored twice, because an answer of its was lost, is one copy. Where the body is gone, the copy
        says so in its error.
        """
        sql = 'select partition, "offset", body_sha256 from gateway.event where identity = %s order by seq'
        first: dict[bytes, Position] = {}
        for partition, offset, digest in ask(self._connection, sql, (identity_digest(source, event_id),)):
            first.setdefault(digest, Position(partition, offset))
        return [self._copy(position, source, digest) for digest, position in first.items()]

    def states(self, stored: Stored) -> Sequence[PairStatus]:
        """Return what each handler of each router made of it."""
        return state_reader.pair_states(self._connection, stored)

    def dead_letters(self, router: str | None, *, limit: int, after_id: int = 0) -> Iterator[DeadLetter]:
        """Return dead letters in the order of their numbers, which all routers share: oldest first."""
        while limit > 0:
            page = state_reader.dead_letters(self._connection, router, limit=min(limit, _PAGE), after_id=after_id)
            yield from page
            if len(page) < _PAGE:
                return
            after_id, limit = page[-1].id, limit - len(page)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _place(self, order: _Order, position: Position) -> Sequence[Any]:
        sql = f'select {order.place} from gateway.event where partition = %s and "offset" = %s'
        rows = ask(self._connection, sql, position)
        return rows[0] if rows else ()

    def _copy(self, position: Position, source: str, digest: bytes) -> Stored:
        stored = self._body_of(position, source)
        if stored is None:
            return Stored(position, None, "the log no longer holds it; only its metadata is left")
        if stored.event is not None and stored.event.body_sha256 != digest:
            return Stored(position, None, "the log holds another event in its place: its topic was made anew")
        return stored


def _conditions(where: Filter) -> tuple[list[str], list[Any]]:
    chosen = [(test, made(value)) for name, test, made in _CONDITIONS if (value := getattr(where, name)) is not None]
    return [test for test, _ in chosen], [value for _, value in chosen]


def _where(conditions: Sequence[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""


def _summary(row: Sequence[Any]) -> Summary:
    partition, offset, source, provider, event_id, type_, time_us, received_us, key, digest, size, flags = row
    return Summary(
        position=Position(partition, offset),
        source=source,
        provider=provider,
        id=_text(event_id),
        type=_text(type_),
        time_us=time_us,
        received_us=received_us,
        key=_text(key),
        body_sha256=digest,
        body_bytes=size,
        flags=tuple(flags.split(",")) if flags else (),
    )


def _text(exact_bytes: bytes) -> str:
    return exact_bytes.decode("utf-8", "surrogatepass")
