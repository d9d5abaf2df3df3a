"""What passes between the client's thread and the worker's loop: records one way, finished positions the other.

One lock guards all of it and is held for moments, so that from the moment a partition is stopped no thread can hand
over a record of it. A partition is open from when its start is known until it is taken away; nothing of a partition
that is not open is handed over, and nothing that is noted for it is kept. Opening it again is another epoch: what was
not handed over in that epoch cannot be noted in it.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from gateway.keep.kafka.records import Read
from gateway.keep.ports import Backlog, Stored


class _Open:
    """One open partition; offsets are those of the last record finished, known to the group, and handed over.

    `end` is the next to be written, `behind_us` since when more is known to be there, `unfinished` what was put.
    """

    __slots__ = ("behind_us", "committed", "end", "handed", "stopped", "unfinished", "written")

    def __init__(self, start: int, *, written: bool) -> None:
        self.committed = start - 1
        self.written = start - 1 if written else None
        self.handed = start - 1
        self.end = start
        self.stopped = False
        self.behind_us: int | None = None
        self.unfinished: deque[tuple[int, int]] = deque()


class Handover:
    """The buffer of records, and the positions. `arrived` is called in the client's thread when there is more to take.

    Who puts asks `full` before, so the buffer goes past its bounds by one poll at most.
    """

    def __init__(self, *, most_events: int, most_bytes: int, arrived: Callable[[], None]) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._arrived = arrived
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._records: deque[Read] = deque()
        self._bytes = 0
        self._gap = 0
        self._wanting: Callable[[], None] | None = None

    # The client's thread

    def open(self, partition: int, start: int, *, written: bool) -> None:
        """Begin an epoch of a partition whose next offset is `start`; `written` says that the group knows it."""
        with self._lock:
            self._open[partition] = _Open(start, written=written)

    def put(self, records: Sequence[Read]) -> None:
        """Offer records in order; those of partitions that are not open are passed over."""
        with self._lock:
            for record in records:
                found = self._open.get(record.stored.position.partition)
                if found is None or found.stopped:
                    continue
                self._records.append(record)
                self._bytes += record.size
                found.unfinished.append((record.stored.position.offset, record.at_us))
        self._arrived()

    def full(self) -> bool:
        """Return whether no more should be put."""
        with self._lock:
            return len(self._records) >= self._most_events or self._bytes >= self._most_bytes

    def when_room(self, call: Callable[[], None]) -> None:
        """Have `call` called once, in whatever thread, as soon as half of the buffer is free."""
        with self._lock:
            self._wanting = call
        self._tell_room()

    def stop(self, partitions: Collection[int]) -> None:
        """Hand over nothing more of these partitions; what is finished of them may still be noted."""
        leaving = frozenset(partitions)
        with self._lock:
            for partition in leaving & self._open.keys():
                self._open[partition].stopped = True
            kept = [record for record in self._records if record.stored.position.partition not in leaving]
            self._records = deque(kept)
            self._bytes = sum([record.size for record in kept])
        self._tell_room()

    def shut(self, partitions: Collection[int]) -> None:
        """End the epoch of these partitions."""
        self.stop(partitions)
        with self._lock:
            for partition in partitions:
                self._open.pop(partition, None)

    def unwritten(self) -> dict[int, int]:
        """Return the last finished offsets that the group does not know yet."""
        with self._lock:
            return {number: one.committed for number, one in self._open.items() if one.committed != one.written}

    def wrote(self, positions: Mapping[int, int]) -> None:
        """Note that the group knows these."""
        with self._lock:
            for partition, offset in positions.items():
                if partition in self._open:
                    self._open[partition].written = offset

    def count_gap(self, events: int) -> None:
        """Count events that retention removed before they were handled."""
        with self._lock:
            self._gap += events

    def survey(self, ends: Mapping[int, int], now_us: int) -> None:
        """Note where the log ends: the next offset to be written, for each partition."""
        with self._lock:
            for partition, end in ends.items():
                found = self._open.get(partition)
                if found is None:
                    continue
                found.end = end
                behind = end - 1 > found.committed
                found.behind_us = (found.behind_us or now_us) if behind else None

    # The worker's loop

    def take(self, max_events: int, max_bytes: int) -> list[Stored]:
        """Return the next records within these bounds, at least one if there is any."""
        taken: list[Stored] = []
        with self._lock:
            while self._records and len(taken) < max(1, max_events):
                record = self._records[0]
                max_bytes -= record.size
                if taken and max_bytes < 0:
                    break
                self._records.popleft()
                self._bytes -= record.size
                position = record.stored.position
                self._open[position.partition].handed = position.offset
                taken.append(record.stored)
        self._tell_room()
        return taken

    def note(self, positions: Mapping[int, int]) -> None:
        """Note what is finished: never back, and never past what was handed over in this epoch."""
        with self._lock:
            for partition, offset in positions.items():
                found = self._open.get(partition)
                if found is None or not found.committed < offset <= found.handed:
                    continue
                found.committed = offset
                while found.unfinished and found.unfinished[0][0] <= offset:
                    found.unfinished.popleft()

    def committed(self) -> dict[int, int]:
        """Return the last finished offset of each open partition, but for those that leave."""
        with self._lock:
            return {number: one.committed for number, one in self._open.items() if not one.stopped}

    def backlog(self, now_us: int) -> Backlog:
        """Return what is not finished of the open partitions, as of the last survey.

        The age of what was not read yet is a lower bound: how long it has been known to be there.
        """
        with self._lock:
            events, oldest_us = 0, now_us
            for one in self._open.values():
                newest = max(one.end - 1, one.unfinished[-1][0] if one.unfinished else -1)
                if newest <= one.committed:
                    continue
                events += newest - one.committed
                since_us = one.unfinished[0][1] if one.unfinished else (one.behind_us or now_us)
                oldest_us = min(oldest_us, since_us)
            return Backlog(events, (now_us - oldest_us) / 1e6, self._gap)

    def _tell_room(self) -> None:
        with self._lock:
            room = len(self._records) <= self._most_events // 2 and self._bytes <= self._most_bytes // 2
            call = self._wanting if room else None
            if call is not None:
                self._wanting = None
        if call is not None:
            call()
