"""The log on Kafka for tests: opened on topics of its own, and read back by a consumer of Kafka's, on a thread."""

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.driver import Driver
from gateway.keep.kafka.keeping import KeeperTimes
from gateway.keep.kafka.lanes import LaneOptions
from gateway.keep.kafka.log import Destination, KafkaLog, KafkaLogOptions
from gateway.keep.kafka.producer import REQUEST_TIMEOUT_MS, Producer
from gateway.keep.kafka.records import read_record
from gateway.keep.kafka.seen import Seen
from gateway.keep.kafka.topics import events_topic
from gateway.keep.places import partition_number
from gateway.keep.ports import Position, Stored
from tests.kafka_rig import create_topics
from tests.log_builders import KEY, OpenLog, Reader

PARTITIONS = {"acme": 3, "other": 1}
SEEN_IDS = 10_000
MESSAGE_BYTES = 2**20
_READ_SECONDS = 30.0
_LANE_OPTIONS = frozenset(LaneOptions.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Where a test's log is. `partitions` has the sources."""

    bootstrap: str
    prefix: str
    partitions: Mapping[str, int] = field(default_factory=lambda: PARTITIONS)

    @property
    def names(self) -> dict[str, str]:
        """The source of each topic."""
        return {events_topic(self.prefix, source): source for source in self.partitions}

    async def create(self, **config: str) -> None:
        for topic, source in self.names.items():
            await create_topics(self.bootstrap, topic, partitions=self.partitions[source], config=config)

    def options(self, **options: Any) -> KafkaLogOptions:
        lanes = {name: options.pop(name) for name in list(options) if name in _LANE_OPTIONS}
        chosen: dict[str, Any] = {"destinations": self.destinations(), "lanes": LaneOptions(**lanes)} | options
        return KafkaLogOptions(**chosen)

    def destinations(self) -> dict[str, Destination]:
        limit = MESSAGE_BYTES
        return {source: Destination(topic=topic, max_message_bytes=limit) for topic, source in self.names.items()}


class KafkaReader:
    """Reads topics from their beginning to their present end, topic by topic, partition by partition."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> list[Stored]:
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(asyncio.run, self._read()).result(_READ_SECONDS)
        return found[seq : seq + max_events]

    def last_seq(self) -> int:
        return len(self.read_after(0, 100_000, 2**30))

    def close(self) -> None:
        """Do nothing."""

    async def _read(self) -> list[Stored]:
        names = self._topics.names
        parts = [
            TopicPartition(topic, number)
            for topic, source in names.items()
            for number in range(self._topics.partitions[source])
        ]
        kind: Any = AIOKafkaConsumer
        consumer = kind(
            **client_arguments(Cluster(bootstrap=tuple(self._topics.bootstrap.split(",")))),
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        consumer.assign(parts)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(parts)
            found: dict[TopicPartition, list[Any]] = {part: [] for part in parts}
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for part, records in (await consumer.getmany(timeout_ms=100)).items():
                    found[part] += records
        finally:
            await consumer.stop()
        return [read_record(record, names).stored for part in parts for record in found[part]]


@dataclass
class OpenKafkaLog(OpenLog):
    """An open log on Kafka."""

    topics: Topics = field(kw_only=True)
    seen: Seen = field(kw_only=True)
    drivers: list[Any] = field(default_factory=list, kw_only=True)

    remembers_places = False
    measures = False

    def at(self, number: int) -> Position:
        """Return the place of the nth event of source `acme` with the builders' ordering key."""
        key = zlib.crc32(KEY.encode())
        return Position(partition_number("acme", key % self.topics.partitions["acme"]), number - 1)

    @property
    def kafka(self) -> KafkaLog:
        assert isinstance(self.log, KafkaLog)
        return self.log


@asynccontextmanager
async def kafka_log(
    topics: Topics,
    *,
    connect: bool = True,
    request_timeout_ms: int = REQUEST_TIMEOUT_MS,
    times: KeeperTimes | None = None,
    **options: Any,
) -> AsyncIterator[OpenKafkaLog]:
    """Open the log on topics that exist, and close it whatever happens."""
    arguments = client_arguments(Cluster(bootstrap=tuple(topics.bootstrap.split(","))))
    drivers: list[Driver] = []
    seen, woken = Seen(SEEN_IDS), threading.Event()

    def make() -> Driver:
        drivers.append(Producer(arguments, request_timeout_ms=request_timeout_ms))
        return drivers[-1]

    def note(identity: bytes, digest: bytes) -> None:
        seen.remember(identity, digest)
        woken.set()

    chosen = topics.options(**options, **({} if times is None else {"times": times}))
    log = KafkaLog(chosen, make, seen, note)
    try:
        assert not connect or await log.connected(60)
        reader = cast(Reader, KafkaReader(topics))  # it has what is asked of every engine
        yield OpenKafkaLog(log, reader, woken, topics=topics, seen=seen, drivers=drivers)
    finally:
        await log.close()
