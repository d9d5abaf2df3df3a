"""Partition numbers across topics: one number for each partition of each source's topic. Pure.

A number is the source's CRC-32, shifted, and Kafka's own partition number in the low 16 bits. It needs no registry,
so that every process, and every row of a store, means the same by it. Two sources of one configuration whose CRC-32
are equal cannot be told apart; `clash` finds them, and a start refuses them.
"""

import zlib
from collections.abc import Iterable

_BITS = 16
PARTITIONS_MOST = 1 << _BITS


def partition_number(source: str, partition: int) -> int:
    """Return the number of that partition of the source's topic."""
    return zlib.crc32(source.encode()) << _BITS | partition


def kafka_partition(number: int) -> int:
    """Return Kafka's own partition number."""
    return number & (PARTITIONS_MOST - 1)


def source_of(number: int, sources: Iterable[str]) -> str | None:
    """Return which of `sources` the partition belongs to, or None."""
    return next((source for source in sources if zlib.crc32(source.encode()) == number >> _BITS), None)


def clash(sources: Iterable[str]) -> tuple[str, str] | None:
    """Return two of `sources` whose partitions would have the same numbers, or None."""
    seen: dict[int, str] = {}
    for source in sources:
        first = seen.setdefault(zlib.crc32(source.encode()), source)
        if first != source:
            return first, source
    return None
