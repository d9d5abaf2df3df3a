"""A record of the topic of digests: which edge wrote it, and what it had made durable. Pure.

4 bytes `gws1`, the edge's 8 bytes, then entries of 24 bytes each: the identity (16), the body's digest (8).
"""

from collections.abc import Iterator

from gateway.keep.kafka.seen import ENTRY_BYTES, IDENTITY_BYTES

EDGE_BYTES = 8
_MAGIC = b"gws1"
_HEAD_BYTES = len(_MAGIC) + EDGE_BYTES


def pack(edge: bytes, entries: bytes) -> bytes:
    """Return the value of a record of `entries`, one after another."""
    return _MAGIC + edge + entries


def unpack(value: bytes | None) -> tuple[bytes, bytes] | None:
    """Return the edge and its entries; None for what is no such record, such as one of another version."""
    if value is None or not value.startswith(_MAGIC):
        return None
    if (len(value) - _HEAD_BYTES) % ENTRY_BYTES:
        return None
    return value[len(_MAGIC) : _HEAD_BYTES], value[_HEAD_BYTES:]


def each(entries: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (identity, digest) of each entry."""
    for start in range(0, len(entries), ENTRY_BYTES):
        middle = start + IDENTITY_BYTES
        yield entries[start:middle], entries[middle : start + ENTRY_BYTES]
