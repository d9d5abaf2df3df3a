"""One aiokafka consumer of a router's group, in the words of the ports: the seam behind which another client would fit.

Partitions are numbers of `gateway.keep.places`. Every wait has a deadline. What is measured of aiokafka 0.14 and
matters here: `getmany()` without partitions means all of them; an error out of it may have passed over records of
other partitions; `commit` retries for ever, and goes through with the generation of the moment; tasks inside can end
without a sign; `stop` can hang.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
)

from gateway.keep.kafka.records import Read, read_record
from gateway.keep.places import kafka_partition, partition_number, source_of

_log = logging.getLogger("gateway.keep")

_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things may take, in seconds, and how much may be read ahead.

    Attributes:
        session: after which silence the group gives our partitions to others: what a killed worker costs. Short, for
            the client has a thread of its own, and no handler can keep it from being heard.
        heartbeat: how often we are heard.
        rebalance: how long the group waits for a member to let go; the worker has seven tenths of it.
        commit_every, commit_within: how often positions are written, and how long a write may take.
        stuck: how long reading may stand still although there is more to read.
        unheard: how long the cluster may be silent before its addresses are asked for anew.
        replacements: how many consumers in a row may stand still before the process must end.
        ahead_events, ahead_bytes: how much is read ahead of the worker.
    """

    session: float = 12.0
    heartbeat: float = 3.0
    rebalance: float = 60.0
    commit_every: float = 1.0
    commit_within: float = 10.0
    stuck: float = 30.0
    unheard: float = 20.0
    replacements: int = 3
    ahead_events: int = 2000
    ahead_bytes: int = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who reads what: `topics` has the topic of each source."""

    router: str
    group: str
    topics: Mapping[str, str]


class Displaced(Exception):  # noqa: N818 - an outcome, not an error
    """Some partition's offset is none of the log's: all must be placed and sought anew."""


class Unreadable(Exception):  # noqa: N818 - an outcome, not an error
    """A whole batch of one of the polled partitions cannot be read; all must be sought anew."""


class FencedError(Exception):
    """The group did not take the positions: it has given the partitions to others, or is about to."""


class ReplaceError(Exception):
    """This consumer is no good any more; another one may be. `stuck`: it stood still although the cluster answers."""

    def __init__(self, reason: str, *, stuck: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stuck = stuck


class Listener(ConsumerRebalanceListener):
    """Passes on aiokafka's word of partitions that come and go, as numbers."""

    def __init__(
        self,
        number: Callable[[TopicPartition], int],
        revoked: Callable[[Collection[int]], Awaitable[None]],
        assigned: Callable[[Collection[int]], None],
    ) -> None:
        self._number = number
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let go; the group waits for it."""
        await self._revoked([self._number(one) for one in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Note what came. Heartbeats begin only after this, so it does not wait for anything."""
        self._assigned([self._number(one) for one in assigned])


class GroupConsumer:
    """One member of a router's group. Made on the client's loop."""

    def __init__(self, arguments: Mapping[str, Any], membership: Membership, pace: Pace) -> None:
        self._topics = membership.topics
        self._sources = {topic: source for source, topic in membership.topics.items()}
        self._places: dict[int, TopicPartition] = {}
        self._generation = -1
        consumer: Any = AIOKafkaConsumer
        self._consumer = consumer(
            **arguments,
            group_id=membership.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            check_crcs=True,
            isolation_level="read_uncommitted",
            # One assignor: aiokafka joins once for each. This one deals out all topics' partitions evenly (`range`
            # gives the first member the first partition of every topic); all of aiokafka's revoke everything at each
            # rebalance, so `sticky` would save nothing.
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            session_timeout_ms=int(pace.session * 1000),
            heartbeat_interval_ms=int(pace.heartbeat * 1000),
            rebalance_timeout_ms=int(pace.rebalance * 1000),
            # Reading waits while the worker is behind; whether it stands still is watched in other ways.
            max_poll_interval_ms=2**31 - 1,
            request_timeout_ms=20_000,
            fetch_max_wait_ms=250,
            fetch_max_bytes=16 * 2**20,
            # A bound for what aiokafka holds ready of each partition. A larger batch still comes, alone.
            max_partition_fetch_bytes=2**20,
        )

    async def join(
        self, revoked: Callable[[Collection[int]], Awaitable[None]], assigned: Callable[[Collection[int]], None]
    ) -> None:
        """Connect, and begin to join the group.

        Raises:
            KafkaError: no broker answers, or none that would have us.
        """

        def came(partitions: Collection[int]) -> None:
            self._generation = self._generation_now()
            assigned(partitions)

        await self._consumer.start()
        self._consumer.subscribe(sorted(self._sources), listener=Listener(self._number, revoked, came))

    async def poll(self, partitions: Collection[int], *, wait: float, most: int) -> list[Read]:
        """Return the next records of these partitions, `most` in all; wait up to `wait` seconds for the first.

        Raises:
            Displaced, Unreadable: nothing was read, but seek before the next poll.
            KafkaError: this consumer reads no more.
        """
        if not partitions:
            await asyncio.sleep(wait)
            return []
        try:
            found = await self._consumer.getmany(
                *map(self._place, partitions), timeout_ms=int(wait * 1000), max_records=most
            )
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise Displaced from error
        except (CorruptRecordException, RecordTooLargeError) as error:
            raise Unreadable(type(error).__name__) from error
        except KafkaError:
            raise
        except Exception as error:  # a record of another's making can break its decoding in ways not foreseen
            raise Unreadable(type(error).__name__) from error
        return [read_record(record, self._sources) for records in found.values() for record in records]

    def seek(self, partition: int, offset: int) -> None:
        """Read on from this offset; what was fetched ahead of it is let go."""
        self._consumer.seek(self._place(partition), offset)

    async def pause(self, partitions: Collection[int]) -> None:
        """Fetch no more of these partitions, and let go of what was fetched ahead."""
        if partitions:
            places = [self._place(partition) for partition in partitions]
            self._consumer.pause(*places)
            with suppress(KafkaError):  # whatever it is, it comes again when they are fetched again
                await self._consumer.getmany(*places)

    def resume(self, partitions: Collection[int]) -> None:
        """Fetch these partitions again."""
        with suppress(IllegalStateError):
            self._consumer.resume(*[self._place(partition) for partition in partitions])

    async def committed(self, partitions: Collection[int]) -> dict[int, int | None]:
        """Return the group's next offset to read of each partition, None where it has none.

        Raises:
            KafkaError, TimeoutError: it cannot be asked now.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            asked = [self._consumer.committed(self._place(partition)) for partition in partitions]
            return dict(zip(partitions, await asyncio.gather(*asked), strict=True))

    async def beginnings(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the oldest offset of each partition.

        Raises:
            KafkaError, TimeoutError: it cannot be asked now.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            return self._numbers(await self._consumer.beginning_offsets([self._place(one) for one in partitions]))

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the next offset to be written of each partition.

        Raises:
            KafkaError, TimeoutError: it cannot be asked now.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            return self._numbers(await self._consumer.end_offsets([self._place(one) for one in partitions]))

    async def missing(self) -> list[str]:
        """Return which of the topics the cluster does not have.

        Raises:
            KafkaError, TimeoutError: it cannot be asked now.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            return sorted(self._sources.keys() - await self._consumer.topics())

    async def commit(self, positions: Mapping[int, int], *, within: float) -> None:
        """Write the last finished offsets of partitions to the group.

        Raises:
            FencedError: they are not ours to write any more.
            KafkaError, TimeoutError: it is unknown whether they were written.
        """
        # A commit after the generation was lost would count as one of no member, which an empty group takes.
        if self._generation_now() != self._generation:
            raise FencedError
        offsets = {self._place(partition): offset + 1 for partition, offset in positions.items()}
        try:
            async with asyncio.timeout(within):
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            raise FencedError from error

    def ended(self) -> bool:
        """Return whether a task inside has ended that should run for ever."""
        tasks = [
            getattr(getattr(self._consumer, "_coordinator", None), "_coordination_task", None),
            getattr(getattr(self._consumer, "_fetcher", None), "_fetch_task", None),
        ]
        return any(task is not None and task.done() for task in tasks)

    async def stop(self, *, within: float | None = None) -> None:
        """Leave the group and close the connections, within that many seconds."""
        stopping = asyncio.ensure_future(self._consumer.stop())
        done, _ = await asyncio.wait({stopping}, timeout=_STOP_SECONDS if within is None else within)
        if not done:
            stopping.cancel()
            _log.warning("subscription.stop_timed_out")
        elif not stopping.cancelled() and stopping.exception() is not None:
            _log.info("subscription.stop_failed", extra={"error": type(stopping.exception()).__name__})

    def _generation_now(self) -> int:
        return int(getattr(getattr(self._consumer, "_coordinator", None), "generation", -1))

    def _number(self, place: TopicPartition) -> int:
        return partition_number(self._sources[place.topic], place.partition)

    def _numbers(self, offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
        return {self._number(place): offset for place, offset in offsets.items()}

    def _place(self, partition: int) -> TopicPartition:
        found = self._places.get(partition)
        if found is None:
            source = source_of(partition, self._topics)
            if source is None:
                raise ValueError("this partition belongs to none of the sources")
            found = self._places[partition] = TopicPartition(self._topics[source], kafka_partition(partition))
        return found
