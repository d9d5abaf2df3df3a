"""Which ids the log has seen: the newest in memory, all others in the table `id`.

A table with random keys costs a page of the disk for each row, if rows come one by one. So ids gather in memory and go
into the table by the ten thousand, in key order, a slice at a time between batches. The events themselves are what
makes an id durable: `meta.indexed_seq` moves when a gathering is complete, and the ids of newer events are read from
them at start. Retention therefore never goes past `indexed` (docs/decisions/0003-ids-gather.md).
"""

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Any

import apsw

from gateway.core.errors import EnvelopeError
from gateway.core.event import Event
from gateway.keep.copies import CONFLICT, Known, body_digest
from gateway.keep.envelope import decode

GATHERED = 65_536
_BUCKETS = 256
_SLICE_ROWS = 256
_ROWS_A_STATEMENT = 1024
_LOOKED_UP = 512

# What is kept of an id: 28 bytes in place of three objects, as there are many. Offset, last day, body digest.
_PACKED = Struct(">QI16s")

Gathering = list[dict[bytes, bytes]]
DayOf = Callable[[Event], int]


class Ids:
    """The ids of one log, on the writer's connection.

    Args:
        connection: the writer's.
        day_of: the last day on which an event's id is remembered.

    Attributes:
        indexed: the ids of all events up to this offset are in the table.
    """

    def __init__(self, connection: apsw.Connection, day_of: DayOf) -> None:
        self._connection = connection
        self.day_of = day_of
        self._fresh, self._moving = _empty(), _empty()
        self._gathered = 0
        self._left = 0
        self._newest = self._moved_upto = self.indexed = self._indexed()
        self._find_again()

    def in_memory(self, events: Sequence[Event]) -> bool:
        """Return whether any of the events' ids is known without asking the table."""
        fresh, moving = self._fresh, self._moving
        for event in events:
            identity = event.identity
            if identity in fresh[identity[0]] or identity in moving[identity[0]]:
                return True
        return False

    def look_up(self, events: Sequence[Event]) -> tuple[dict[bytes, Known], dict[tuple[bytes, bytes], int]]:
        """Return what is remembered of the events' ids, and the further bodies under them: see `copies.judge`."""
        first: dict[bytes, Known] = {}
        asked = []
        for identity in {event.identity for event in events}:
            found = self._fresh[identity[0]].get(identity) or self._moving[identity[0]].get(identity)
            if found is None:
                asked.append(identity)
            else:
                offset, _, digest = _PACKED.unpack(found)
                first[identity] = Known(offset, digest)
        for identity, seq, digest in self._select("select identity, seq, digest from id where identity in", asked):
            first[identity] = Known(seq, digest)
        rows = self._select("select identity, digest, seq from conflict where identity in", list(first))
        return first, {(identity, digest): seq for identity, digest, seq in rows}

    def remember(self, event: Event, offset: int) -> None:
        """Note the id of an event that is now durable."""
        identity = event.identity
        self._fresh[identity[0]][identity] = _PACKED.pack(offset, self.day_of(event), body_digest(event))
        self._gathered += 1
        self._newest = offset

    @property
    def crowded(self) -> bool:
        """Whether more ids wait in memory than should: then the slices must not wait for a quiet moment."""
        return self._gathered >= 2 * GATHERED

    def move_slice(self, *, whatever_there_is: bool) -> bool:
        """Move the next slice into the table; begin a new gathering if there are enough. Return whether more waits."""
        if self._left == 0:
            if self._gathered < (1 if whatever_there_is else GATHERED):
                return False
            self._moving, self._fresh = self._fresh, _empty()
            self._moved_upto, self._left, self._gathered = self._newest, _BUCKETS, 0
        left = self._left
        rows: list[tuple[bytes, bytes]] = []
        while left and len(rows) < _SLICE_ROWS:
            left -= 1
            rows += sorted(self._moving[left].items())
        self._insert(rows)
        if left == 0:
            self._connection.execute("update meta set value = ? where key = 'indexed_seq'", (self._moved_upto,))
            self.indexed, self._moving = self._moved_upto, _empty()
        # Only now: a slice that failed is moved again, and rows that are there already are ignored.
        self._left = left
        return left > 0

    def _insert(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            some = rows[start : start + _ROWS_A_STATEMENT]
            values: list[object] = []
            for identity, packed in some:
                offset, day, digest = _PACKED.unpack(packed)
                values += (identity, digest, offset, day)
            marks = ",".join(["(?,?,?,?)"] * len(some))
            self._connection.execute(f"insert or ignore into id values {marks}", values, can_cache=False)

    def _select(self, sql: str, identities: Sequence[bytes]) -> Iterator[Any]:
        for start in range(0, len(identities), _LOOKED_UP):
            some = identities[start : start + _LOOKED_UP]
            yield from self._connection.execute(f"{sql} ({','.join('?' * len(some))})", some)

    def _indexed(self) -> int:
        return int(self._connection.execute("select value from meta where key = 'indexed_seq'").get)

    def _find_again(self) -> None:
        """Read the ids of the events that came after the last complete gathering."""
        rows: Any = self._connection.execute("select seq, head from event where seq > ? order by seq", (self.indexed,))
        for seq, head in rows:
            try:
                event = decode(head, b"")
            except EnvelopeError:
                continue
            if CONFLICT not in event.flags:
                self.remember(event, seq)
            self._newest = seq


def _empty() -> Gathering:
    """One dictionary for each first byte of an identity: a slice is a range of keys, sorted at no cost to speak of."""
    return [{} for _ in range(_BUCKETS)]
