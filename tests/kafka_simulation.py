"""A simulated cluster behind the `Driver` seam: what a real one does only now and then, it does when told to."""

import asyncio
from asyncio import Future
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from gateway.keep.envelope import Record
from gateway.keep.kafka.driver import NotWrittenError, UnknownOutcomeError, UnreachableError

Place = tuple[str, int]


class Fate(Enum):
    """What becomes of a batch."""

    ACKNOWLEDGED = "acknowledged"
    ACK_LOST = "written, but the answer was lost"
    REFUSED = "refused, certainly not written"
    HELD = "written and answered when `release` is called"
    BROKEN = "the client raises what it never should"
    GIVEN_UP = "the client cancels its own future"


@dataclass
class SimulatedCluster:
    """What is written, and what is to become of the next batches: `fates`, then always `fate`.

    Partitions that are `down` refuse, those that are `silent` do not answer until `release`.
    """

    topics: dict[str, int] = field(default_factory=lambda: {"events": 2})
    reachable: bool = True
    max_bytes: int = 10**6
    fate: Fate = Fate.ACKNOWLEDGED
    fates: list[Fate] = field(default_factory=list)
    written: dict[Place, list[Record]] = field(default_factory=lambda: defaultdict(list))
    batches: list[list[bytes]] = field(default_factory=list)
    drivers: "list[SimulatedDriver]" = field(default_factory=list)
    held: "list[Future[None]]" = field(default_factory=list)
    down: set[Place] = field(default_factory=set)
    silent: set[Place] = field(default_factory=set)

    def driver(self) -> "SimulatedDriver":
        self.drivers.append(SimulatedDriver(self))
        return self.drivers[-1]

    def release(self) -> None:
        """Let what is held go on, and hold nothing more."""
        self.fate = Fate.ACKNOWLEDGED
        self.silent.clear()
        for future in self.held:
            if not future.done():
                future.set_result(None)

    def values(self, topic: str = "events") -> list[bytes]:
        """The values of all records, partition by partition."""
        return [record.value for number in range(self.topics[topic]) for record in self.written[topic, number]]

    def append(self, place: Place, records: Sequence[Record]) -> int:
        offset = len(self.written[place])
        self.written[place] += records
        return offset


class SimulatedDriver:
    """A `Driver`; `die` ends its sender as an exception ends aiokafka's."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.failed: str | None = None
        self.started = self.stopped = False
        self._busy: set[Place] = set()

    def die(self) -> None:
        self.failed = "the sender ended"

    async def start(self) -> None:
        await asyncio.sleep(0)
        if not self.cluster.reachable:
            raise UnreachableError("KafkaConnectionError")
        self.started = True

    async def find(self, topics: Sequence[str]) -> Mapping[str, int]:
        await asyncio.sleep(0)
        return {topic: self.cluster.topics[topic] for topic in topics if topic in self.cluster.topics}

    async def produce(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        place = (topic, partition)
        assert self.started, "used before it was started"
        assert not self.stopped, "used after it was stopped"
        assert place not in self._busy, "two batches at once to one partition"
        self._busy.add(place)
        try:
            return await self._produce(place, records)
        finally:
            self._busy.discard(place)

    async def _produce(self, place: Place, records: Sequence[Record]) -> int:
        cluster = self.cluster
        cluster.batches.append([record.value for record in records])
        fate = cluster.fates.pop(0) if cluster.fates else cluster.fate
        await asyncio.sleep(0)
        if place in cluster.down:
            raise NotWrittenError("NotLeaderForPartitionError")
        if fate is Fate.HELD or place in cluster.silent:
            cluster.held.append(asyncio.get_running_loop().create_future())
            await cluster.held[-1]
        if fate is Fate.REFUSED:
            raise NotWrittenError("TopicAuthorizationFailedError")
        if fate is Fate.BROKEN:
            raise RuntimeError("never")
        if fate is Fate.GIVEN_UP:
            raise asyncio.CancelledError
        if sum(len(record.value) for record in records) > cluster.max_bytes:
            raise NotWrittenError("MessageSizeTooLargeError", too_large=True)
        offset = cluster.append(place, records)
        if fate is Fate.ACK_LOST:
            raise UnknownOutcomeError("KafkaConnectionError")
        return offset

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.stopped = True
