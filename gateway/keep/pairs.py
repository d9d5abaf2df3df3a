"""A pair as a row of an engine's tables of parked pairs and dead letters: its values in order, and back. Pure.

A row holds the whole event, so that the log may forget it. What an engine's texts cannot hold is replaced in the
columns by which rows are found (`clean`); the exact event stands in head and body.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.keep.envelope import decode, encode
from gateway.keep.ports import DeadFilter, DeadLetter, MarkKey, Pair, Position

PAIR_COLUMNS = (
    'handler, dedupe_key, replay, key, partition, "offset", attempt, replay_id, new_keys, first_failed_us, error,'
    " head, body"
)
DEAD_COLUMNS = f"id, {PAIR_COLUMNS}, reason, trace, died_us"
_WIDTH = 13
_ERROR_BYTES = 2 * 2**10
_TRACE_BYTES = 16 * 2**10

Clean = Callable[[str], str]


def mark_key(pair: Pair) -> MarkKey:
    """Return what the pair's mark, its parked row and its dead letter are kept under."""
    return MarkKey(pair.handler, pair.event.dedupe_key, pair.replay)


def pair_values(pair: Pair, error: str, clean: Clean) -> tuple[Any, ...]:
    """Return the values of `PAIR_COLUMNS`; `error` is cut at 2 KiB."""
    event = pair.event
    return (
        *mark_key(pair),
        clean(event.key),
        *pair.position,
        pair.attempt,
        pair.replay_id,
        pair.new_keys,
        pair.first_failed_us,
        _cut(clean(error)),
        encode(event),
        event.body,
    )


def death_values(pair: Pair, reason: str, trace: str, clean: Clean) -> tuple[str, str, str, str, str]:
    """Return source, event id, type, reason and trace of a dead letter; of the trace the last 16 KiB."""
    event = pair.event
    return clean(event.source), clean(event.id), clean(event.type), reason, _end(clean(trace))


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


def dead_tests(where: DeadFilter, clean: Clean) -> list[tuple[str, Any]]:
    """Return what a dead letter must pass but for the ids: (column and comparison, value), one value each."""
    events = where.events
    texts = (
        ("handler =", where.handler),
        ("reason =", where.reason),
        ("source =", events.source),
        ("type =", events.type),
        ("event_id =", events.id),
        ("key =", events.key),
    )
    times = (("died_us >=", events.since_us), ("died_us <", events.until_us))
    found: list[tuple[str, Any]] = [(test, clean(text)) for test, text in texts if text is not None]
    return found + [(test, time_us) for test, time_us in times if time_us is not None]


def _cut(text: str) -> str:
    return text.encode()[:_ERROR_BYTES].decode("utf-8", "ignore")


def _end(text: str) -> str:
    """The error itself stands at a trace's end."""
    return text.encode()[-_TRACE_BYTES:].decode("utf-8", "ignore")
