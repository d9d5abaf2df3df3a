"""Kafka records as `Stored`: at the seam, so that nothing else looks into aiokafka's values. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.core.errors import EnvelopeError
from gateway.keep.envelope import from_record
from gateway.keep.places import partition_number
from gateway.keep.ports import Position, Stored


class Read(NamedTuple):
    """One record as it was read: `size` in bytes, `at_us` when it was received (when it was written, if unreadable)."""

    stored: Stored
    size: int
    at_us: int


def read_record(record: Any, sources: Mapping[str, str]) -> Read:
    """Return an aiokafka `ConsumerRecord` as a stored event, or with the error that decoding it met.

    `sources` has the source of each topic.
    """
    position = Position(partition_number(sources[record.topic], record.partition), record.offset)
    # Kafka allows headers without a value; ours have one, so a missing one reads as an empty one.
    headers = [(name, value or b"") for name, value in record.headers]
    size = len(record.value or b"") + sum([len(value) for _, value in headers])
    try:
        event = from_record(record.key, record.value, headers)
    except EnvelopeError as error:
        return Read(Stored(position, None, str(error)), size, record.timestamp * 1000)
    return Read(Stored(position, event), size, event.received_us)
