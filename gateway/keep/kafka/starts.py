"""Finds where the partitions that a worker was given begin; what is lost of them is said aloud."""

import asyncio
import logging
from collections.abc import Mapping

from aiokafka.errors import KafkaError

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.kafka.bridge import Bridge
from gateway.keep.kafka.consumer import GroupConsumer, Membership
from gateway.keep.kafka.placing import BeyondEndError, Place, place
from gateway.keep.places import kafka_partition, source_of

_log = logging.getLogger("gateway.keep")

_AGAIN_SECONDS = 1.0
_DOUBTS = 3


class Starts:
    """Asks the group, the log and the store for as long as it takes."""

    def __init__(self, consumer: GroupConsumer, bridge: Bridge, membership: Membership) -> None:
        self._consumer = consumer
        self._bridge = bridge
        self._router = membership.router
        self._topics = membership.topics

    async def find(self, wanted: Mapping[int, int | None]) -> dict[int, Place]:
        """Return where to begin each partition; `wanted` has the next offset to read where it is known already.

        Raises:
            DependencyError: a position is beyond its partition's end.
        """
        doubts = 0
        while True:
            try:
                found = await self._find(wanted)
                break
            except DependencyError:  # a leader that was just elected may not know its end yet
                doubts += 1
                if doubts == _DOUBTS:
                    raise
            except (KafkaError, Unavailable, TimeoutError) as error:
                _log.warning("subscription.starts_unknown", extra=self._about(error=type(error).__name__))
            await asyncio.sleep(_AGAIN_SECONDS)
        for partition, start in found.items():
            self._tell(partition, start)
        return found

    async def _find(self, wanted: Mapping[int, int | None]) -> dict[int, Place]:
        fresh = [partition for partition, known in wanted.items() if known is None]
        beginnings = await self._consumer.beginnings(wanted.keys())
        ends = await self._consumer.ends(wanted.keys())
        committed = {**wanted, **await self._consumer.committed(fresh)}
        kept: Mapping[int, int] = {}
        if any(offset is None for offset in committed.values()):
            kept = await self._bridge.load()
        return {
            partition: self._place(partition, committed[partition], kept.get(partition), beginnings, ends)
            for partition in wanted
        }

    def _place(
        self,
        partition: int,
        committed: int | None,
        kept: int | None,
        beginnings: Mapping[int, int],
        ends: Mapping[int, int],
    ) -> Place:
        after = None if kept is None else kept + 1
        try:
            return place(committed=committed, kept=after, beginning=beginnings[partition], end=ends[partition])
        except BeyondEndError as error:
            raise DependencyError(
                f"router {self._router}: its position in topic {self._topic(partition)}, partition"
                f" {kafka_partition(partition)}, is {error.offset}, beyond the end {error.end}: the topic was made anew"
                f" or its end was lost; `gateway routers forget {self._router}` lets the router begin anew"
            ) from None

    def _tell(self, partition: int, start: Place) -> None:
        where = {"topic": self._topic(partition), "partition": kafka_partition(partition), "offset": start.offset}
        if start.known == "store":
            _log.error("subscription.position_lost", extra=self._about(**where))
        if start.gap:
            _log.error("subscription.gap", extra=self._about(events=start.gap, **where))
            self._bridge.note_gap(partition, start.offset - start.gap - 1, start.gap)

    def _about(self, **more: object) -> dict[str, object]:
        return {"router": self._router, **more}

    def _topic(self, partition: int) -> str:
        return self._topics[source_of(partition, self._topics) or ""]
