"""A `Filter` as SQL over `event`, and stored rows as values."""

from typing import Any

import apsw

from gateway.core.errors import EnvelopeError
from gateway.core.event import identity_digest
from gateway.keep.envelope import decode
from gateway.keep.ports import Filter, Position, Stored, Summary

_CONDITIONS = (
    ("source", "source = ?"),
    ("type", "type = ?"),
    ("id", "event_id = ?"),
    ("key", "key = ?"),
    ("since_us", "received_us >= ?"),
    ("until_us", "received_us < ?"),
)


def conditions(where: Filter) -> tuple[str, list[Any]]:
    """Return the filter as ` and`-joined conditions, each led by ` and `, and their values."""
    asked = [(sql, getattr(where, name)) for name, sql in _CONDITIONS if getattr(where, name) is not None]
    return "".join([f" and {sql}" for sql, _ in asked]), [_storable(value) for _, value in asked]


def offsets_of(connection: apsw.Connection, source: str, event_id: str) -> list[int]:
    """Return the offsets remembered for that event, oldest first; their rows may have been let go already.

    The ids of the newest events are not in the table yet: those events are looked through.
    """
    sql = """
        select seq from id where identity = :identity union select seq from conflict where identity = :identity
        union select seq from event where seq > (select value from meta where key = 'indexed_seq')
            and source = :source and event_id = :id
        order by seq
    """
    values = {"identity": identity_digest(source, event_id), "source": source, "id": _storable(event_id)}
    rows: list[Any] = connection.execute(sql, values).fetchall()
    return [seq for (seq,) in rows]


def stored(seq: int, head: bytes, body: bytes) -> Stored:
    """Return one row as a record, with its error if it cannot be decoded."""
    try:
        return Stored(Position(0, seq), decode(head, body))
    except EnvelopeError as error:
        return Stored(Position(0, seq), None, str(error))


def summary(seq: int, head: bytes, body_bytes: int) -> Summary:
    """Return one row without its body.

    Raises:
        EnvelopeError: it cannot be decoded.
    """
    event = decode(head, b"")
    return Summary(
        position=Position(0, seq),
        source=event.source,
        provider=event.provider,
        id=event.id,
        type=event.type,
        time_us=event.time_us,
        received_us=event.received_us,
        key=event.key,
        body_sha256=event.body_sha256,
        body_bytes=body_bytes,
        flags=event.flags,
    )


def _storable(value: object) -> object:
    """Text as SQLite compares it: a lone surrogate cannot be bound as text, and then nothing is equal to it."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(value, str) else value
