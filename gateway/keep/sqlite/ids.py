"""Which ids the log has seen: the newest in memory, all others in the table `id`.

A table with random keys costs a page of the disk for each row, if rows come one by one. So ids gather in memory and go
into the table by the ten thousand, in key order, a slice at a time between batches. The events themselves are what
makes an id durable: `meta.indexed_seq` moves when a gathering is complete, and the ids of newer events are read from
them at start. Retention therefore never goes past `indexed`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from gateway.core.errors import EnvelopeError
from gateway.core.event import Event
from gateway.keep.copies import CONFLICT, Known, body_digest
from gateway.keep.envelope import decode

GATHERED = 16_384
_SLICE_ROWS = 256
_LOOKED_UP = 512

DayOf = Callable[[Event], int]


class _Fresh(NamedTuple):
    known: Known
    expires_day: int


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
        self._fresh: dict[bytes, _Fresh] = {}
        self._moving: dict[bytes, _Fresh] = {}
        self._left: Iterator[bytes] = iter(())
        self._newest = self._moved_upto = self.indexed = self._indexed()
        self._find_again()

    def in_memory(self, events: Sequence[Event]) -> bool:
        """Return whether any of the events' ids is known without asking the table."""
        fresh, moving = self._fresh, self._moving
        return any(event.identity in fresh or event.identity in moving for event in events)

    def look_up(self, events: Sequence[Event]) -> tuple[dict[bytes, Known], dict[tuple[bytes, bytes], int]]:
        """Return what is remembered of the events' ids, and the further bodies under them: see `copies.judge`."""
        first: dict[bytes, Known] = {}
        asked = []
        for identity in {event.identity for event in events}:
            found = self._fresh.get(identity) or self._moving.get(identity)
            if found is None:
                asked.append(identity)
            else:
                first[identity] = found.known
        for identity, seq, digest in self._select("select identity, seq, digest from id where identity in", asked):
            first[identity] = Known(seq, digest)
        rows = self._select("select identity, digest, seq from conflict where identity in", list(first))
        return first, {(identity, digest): seq for identity, digest, seq in rows}

    def remember(self, event: Event, offset: int) -> None:
        """Note the id of an event that is now durable."""
        self._fresh[event.identity] = _Fresh(Known(offset, body_digest(event)), self.day_of(event))
        self._newest = offset

    @property
    def crowded(self) -> bool:
        """Whether more ids wait in memory than should: then the slices must not wait for a quiet moment."""
        return len(self._fresh) >= 2 * GATHERED

    def move_slice(self, *, whatever_there_is: bool) -> bool:
        """Move the next slice into the table; begin a new gathering if there are enough. Return whether more waits."""
        if not self._moving:
            if len(self._fresh) < (1 if whatever_there_is else GATHERED):
                return False
            self._moving, self._fresh = self._fresh, {}
            self._moved_upto = self._newest
            self._left = iter(sorted(self._moving))
        rows = [(identity, *self._moving[identity]) for identity in itertools.islice(self._left, _SLICE_ROWS)]
        if rows:
            self._insert([(identity, known.digest, known.offset, day) for identity, known, day in rows])
        if len(rows) < _SLICE_ROWS:
            self._connection.execute("update meta set value = ? where key = 'indexed_seq'", (self._moved_upto,))
            self.indexed, self._moving = self._moved_upto, {}
        return bool(self._moving)

    def _insert(self, rows: Sequence[tuple[bytes, bytes, int, int]]) -> None:
        values = ",".join(["(?,?,?,?)"] * len(rows))
        flat = list(itertools.chain.from_iterable(rows))
        try:
            self._connection.execute(f"insert or ignore into id values {values}", flat)
        except BaseException:
            self._left = iter(sorted(self._moving))  # from the start: rows that are there already are ignored
            raise

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
