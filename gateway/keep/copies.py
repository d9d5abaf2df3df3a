"""Which events are copies of ones already stored: the embedded log's and the memory log's dedupe decision. Pure.

An id is remembered under its identity (source, event id) with the digest of the first body that came with it. Where
the signature covers the id, whatever comes under it later is a copy. Elsewhere only the same body is a copy: another
one is stored too, flagged `id_conflict`, so that a captured request re-sent under a future id displaces nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.core.event import Event

DIGEST_BYTES = 16
CONFLICT = "id_conflict"


class Known(NamedTuple):
    """What is remembered of an id: the offset of its first event and that body's digest."""

    offset: int
    digest: bytes


class Verdict(NamedTuple):
    """What to do with one event: store it at `offset`, or answer that the one at `offset` is the same."""

    offset: int
    store: bool
    conflict: bool = False
    body_differs: bool = False


def body_digest(event: Event) -> bytes:
    """Return what is remembered of a body: the first 16 bytes of its SHA-256."""
    return event.body_sha256[:DIGEST_BYTES]


def judge(
    events: Sequence[Event],
    first: Mapping[bytes, Known],
    conflicting: Mapping[tuple[bytes, bytes], int],
    next_offset: int,
) -> list[Verdict]:
    """Return a verdict for each of `events`, which are to be stored in this order from `next_offset` on.

    Args:
        events: what is to be stored together; a later one may be a copy of an earlier one.
        first: what is remembered of the events' ids, by identity.
        conflicting: the offsets of further bodies under these ids, by (identity, body digest).
        next_offset: where the first stored one goes.
    """
    first, conflicting = dict(first), dict(conflicting)
    verdicts = []
    for event in events:
        verdict = _judge(event, first.get(event.identity), conflicting, next_offset)
        verdicts.append(verdict)
        if not verdict.store:
            continue
        if verdict.conflict:
            conflicting[event.identity, body_digest(event)] = next_offset
        else:
            first[event.identity] = Known(next_offset, body_digest(event))
        next_offset += 1
    return verdicts


def _judge(
    event: Event, known: Known | None, conflicting: Mapping[tuple[bytes, bytes], int], next_offset: int
) -> Verdict:
    if known is None:
        return Verdict(next_offset, store=True)
    digest = body_digest(event)
    if digest == known.digest:
        return Verdict(known.offset, store=False)
    if event.id_is_signed:
        return Verdict(known.offset, store=False, body_differs=True)
    offset = conflicting.get((event.identity, digest))
    if offset is not None:
        return Verdict(offset, store=False, conflict=True)
    return Verdict(next_offset, store=True, conflict=True)


def flags_of(event: Event, verdict: Verdict) -> tuple[str, ...]:
    """Return the flags the stored event has: its own, with `id_conflict` if another body came under its id before."""
    if verdict.conflict and CONFLICT not in event.flags:
        return tuple(sorted((*event.flags, CONFLICT)))
    return event.flags
