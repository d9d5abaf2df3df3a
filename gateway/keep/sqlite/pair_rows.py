"""A pair as a row of `gateway_parked` and `gateway_dead`: with its whole event, so that the log may forget it."""

from collections.abc import Sequence
from typing import Any

from gateway.keep.envelope import decode, encode
from gateway.keep.ports import DeadFilter, DeadLetter, MarkKey, Pair, Position

PAIR_COLUMNS = (
    "handler, dedupe_key, replay, key, partition, offset, attempt, replay_id, new_keys, first_failed_us, error,"
    " head, body"
)
DEAD_COLUMNS = f"id, {PAIR_COLUMNS}, reason, trace, died_us"
_WIDTH = 13
_ERROR_BYTES = 2 * 2**10
_TRACE_BYTES = 16 * 2**10


def mark_key(pair: Pair) -> MarkKey:
    """Return what the pair's mark, its parked row and its dead letter are kept under."""
    return MarkKey(pair.handler, pair.event.dedupe_key, pair.replay)


def lane(pair: Pair) -> tuple[str, str]:
    """Return the (handler, key) whose order the pair stands in."""
    return pair.handler, storable(pair.event.key)


def pair_values(pair: Pair, error: str) -> tuple[Any, ...]:
    """Return the values of `PAIR_COLUMNS`; `error` is cut at 2 KiB."""
    event = pair.event
    return (
        *mark_key(pair),
        storable(event.key),
        *pair.position,
        pair.attempt,
        pair.replay_id,
        pair.new_keys,
        pair.first_failed_us,
        _cut(error, _ERROR_BYTES),
        encode(event),
        event.body,
    )


def pair_from(row: Sequence[Any], *, parked_id: int | None) -> Pair:
    """Return the pair of the values of `PAIR_COLUMNS`.

    Raises:
        EnvelopeError: the event cannot be decoded.
    """
    return Pair(
        handler=row[0],
        event=decode(row[11], row[12]),
        position=Position(row[4], row[5]),
        attempt=row[6],
        replay=row[2],
        replay_id=row[7],
        new_keys=bool(row[8]),
        parked_id=parked_id,
        first_failed_us=row[9],
        error=row[10],
    )


def dead_from(router: str, row: Sequence[Any]) -> DeadLetter:
    """Return the dead letter of the values of `DEAD_COLUMNS`.

    Raises:
        EnvelopeError: the event cannot be decoded.
    """
    pair = pair_from(row[1:], parked_id=None)
    reason, trace, died_us = row[1 + _WIDTH :]
    return DeadLetter(
        id=row[0],
        router=router,
        pair=pair,
        reason=reason,
        error=pair.error,
        trace=trace,
        attempts=pair.attempt,
        died_us=died_us,
    )


def dead_where(where: DeadFilter) -> tuple[str, tuple[Any, ...]]:
    """Return the condition on `gateway_dead` and its parameters; ids stand in it, being numbers."""
    events = where.events
    tests = (
        ("handler = ?", where.handler),
        ("reason = ?", where.reason),
        ("source = ?", events.source),
        ("type = ?", events.type),
        ("event_id = ?", events.id),
        ("key = ?", events.key),
        ("died_us >= ?", events.since_us),
        ("died_us < ?", events.until_us),
    )
    chosen = [(test, value) for test, value in tests if value is not None]
    conditions = [test for test, _ in chosen]
    if where.ids:
        conditions.append(f"id in ({', '.join(str(int(number)) for number in where.ids)})")
    return " and ".join(conditions) or "true", tuple(value for _, value in chosen)


def storable(text: str) -> str:
    """Return `text` without what UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cut_trace(text: str) -> str:
    """Return the last 16 KiB of a trace: the error itself stands at its end."""
    encoded = text.encode("utf-8", "replace")
    return encoded[-_TRACE_BYTES:].decode("utf-8", "ignore")


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
