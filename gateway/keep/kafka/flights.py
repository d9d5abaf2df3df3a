"""Events on their way to the log, and what comes meanwhile under the same id: copies join, and share the outcome.

The rules are those of `gateway.keep.copies`. What is judged a conflict beside an event in flight keeps its flag even if
that one is not written in the end: the flag says what came, not what was stored.
"""

from asyncio import Future
from typing import NamedTuple, Protocol

import msgspec

from gateway.core.errors import Unavailable
from gateway.core.event import Event
from gateway.keep.copies import CONFLICT
from gateway.keep.envelope import Record, to_record
from gateway.keep.kafka.seen import DIGEST_BYTES, Judgement
from gateway.keep.ports import Appended, Position

# What a record takes in a batch beside its parts, at most, and each of its headers (two lengths); and the batch's own
# frame (KIP-98).
_RECORD_BYTES = 40
_HEADER_BYTES = 10
BATCH_BYTES = 61


class Landing(Protocol):
    """Who is told how flights end."""

    def landed(self, flight: "Flight", partition: int, offset: int) -> Position:
        """Note that it is durable; return where."""
        ...

    def lost(self, flight: "Flight") -> None:
        """Note that it is not durable, or that nobody knows."""
        ...


class Flight:
    """One event that is being written, and those who wait for it. An `Entry` of the lanes.

    Attributes:
        key: what it is found under while in flight.
        event: as it is stored, with the flag of a conflict.
        record: as it is written.
        size: what the record takes in a batch, at most.
        future: of whoever appended it first.
    """

    __slots__ = ("_joined", "_landing", "event", "future", "key", "record", "size")

    def __init__(self, key: bytes, event: Event, future: "Future[Appended]", landing: Landing) -> None:
        self.key = key
        self.event = event
        self.record: Record = to_record(event)
        self.size = record_bytes(self.record)
        self.future = future
        self._joined: list[tuple[Future[Appended], bool]] = []
        self._landing = landing

    def join(self, future: "Future[Appended]", *, body_differs: bool) -> None:
        """Let a copy share the outcome."""
        self._joined.append((future, body_differs))

    def written(self, partition: int, offset: int) -> None:
        """Tell all that it is durable."""
        position = self._landing.landed(self, partition, offset)
        flags = self.event.flags
        if not self.future.done():  # else its waiter cancelled it
            self.future.set_result(Appended(position, flags=flags))
        for future, body_differs in self._joined:
            if not future.done():
                future.set_result(Appended(position, duplicate=True, body_differs=body_differs, flags=flags))

    def failed(self, error: Unavailable) -> None:
        """Tell all that it is not, or that nobody knows."""
        self._landing.lost(self)
        for future in (self.future, *[future for future, _ in self._joined]):
            if not future.done():
                future.set_exception(Unavailable(error.reason, written=error.written))


class Joint(NamedTuple):
    """What an event is beside those in flight: a copy of `flight`, or new if that is None."""

    flight: Flight | None
    body_differs: bool = False
    conflict: bool = False


_NEW = Joint(None)


def new_flight(event: Event, future: "Future[Appended]", landing: Landing, *, conflict: bool) -> Flight:
    """Return a flight of `event`, flagged if another body came under its id."""
    if conflict and CONFLICT not in event.flags:
        event = msgspec.structs.replace(event, flags=tuple(sorted((*event.flags, CONFLICT))))
    return Flight(_further(event) if conflict else event.identity, event, future, landing)


def record_bytes(record: Record) -> int:
    """Return what `record` takes in a batch, at most."""
    size = _RECORD_BYTES + len(record.key) + len(record.value) + _HEADER_BYTES * len(record.headers)
    for name, value in record.headers:
        size += len(name) + len(value)  # the names of HTTP's headers are ASCII, and so are ours
    return size


class Flights:
    """All events in flight, by id. A further body under an unsigned id flies under a key of its own."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def judge(self, event: Event, judgement: Judgement) -> Joint:
        """Return what `event` is beside those in flight; beside what is durable it is "new" or a "conflict"."""
        first = self._by_key.get(event.identity)
        if first is None:
            return _NEW if judgement == "new" else Joint(self._by_key.get(_further(event)), conflict=True)
        if first.event.body_sha256 == event.body_sha256:
            return Joint(first)
        if event.id_is_signed:
            return Joint(first, body_differs=True)
        return Joint(self._by_key.get(_further(event)), conflict=True)

    def begin(self, flight: Flight) -> None:
        """Let a flight be found."""
        self._by_key[flight.key] = flight

    def end(self, flight: Flight) -> None:
        """Forget a flight."""
        self._by_key.pop(flight.key, None)


def _further(event: Event) -> bytes:
    return event.identity + event.body_sha256[:DIGEST_BYTES]
