"""What commands and a start ask of the log and of groups, each with a client of its own: positions, and one record.

Positions are last finished offsets by partition number, as everywhere in the ports: one below the beginning stands for
"nothing yet".
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from gateway.core.errors import DependencyError
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.records import read_record
from gateway.keep.places import kafka_partition, partition_number, source_of
from gateway.keep.ports import Position, Stored

_ANSWER_SECONDS = 15.0
_STOP_SECONDS = 5.0
_METADATA_PAUSE = 0.05


async def end_positions(cluster: Cluster, topics: Mapping[str, str]) -> dict[int, int]:
    """Return the last offset of each partition of `topics` (by source): where a new router starts.

    Raises:
        DependencyError: the cluster does not answer, or a topic is missing.
    """
    return {partition: end - 1 for partition, end in (await ends(cluster, topics)).items()}


async def begin_positions(cluster: Cluster, topics: Mapping[str, str]) -> dict[int, int]:
    """Return the offset before the first of each partition: where a router starts that asks for all that is stored.

    Raises:
        DependencyError: the cluster does not answer, or a topic is missing.
    """
    async with _asking(cluster, None) as consumer:
        found = await consumer.beginning_offsets(await _partitions(consumer, topics))
        return {partition: offset - 1 for partition, offset in _numbers(found, topics).items()}


async def ends(cluster: Cluster, topics: Mapping[str, str]) -> dict[int, int]:
    """Return the next offset to be written of each partition.

    Raises:
        DependencyError: the cluster does not answer, or a topic is missing.
    """
    async with _asking(cluster, None) as consumer:
        return _numbers(await consumer.end_offsets(await _partitions(consumer, topics)), topics)


async def committed_positions(cluster: Cluster, group: str, topics: Mapping[str, str]) -> dict[int, int]:
    """Return the group's positions, of those partitions that it has any of.

    Raises:
        DependencyError: the cluster does not answer, or a topic is missing.
    """
    async with _asking(cluster, group) as consumer:
        partitions = await _partitions(consumer, topics)
        offsets = await asyncio.gather(*[consumer.committed(partition) for partition in partitions])
        found = {at: offset - 1 for at, offset in zip(partitions, offsets, strict=True) if offset is not None}
        return _numbers(found, topics)


async def commit_positions(
    cluster: Cluster, group: str, topics: Mapping[str, str], positions: Mapping[int, int]
) -> None:
    """Write the positions of a group that has no members; those of sources that `topics` lacks are passed over.

    Raises:
        DependencyError: the cluster does not answer, or the group has members.
    """
    offsets = _places(positions, topics)
    if not offsets:
        return
    async with _asking(cluster, group) as consumer:
        consumer.assign(list(offsets))
        try:
            await consumer.commit(offsets)
        except CommitFailedError:
            raise DependencyError(f"group {group} is being read; stop the workers of its router first") from None


async def read_record_at(cluster: Cluster, topics: Mapping[str, str], position: Position) -> Stored | None:
    """Return the record at that position, None if the log does not have it any more.

    Raises:
        DependencyError: the cluster does not answer.
    """
    (place,) = _places({position.partition: position.offset}, topics) or (None,)
    if place is None:
        return None
    async with _asking(cluster, None) as consumer:
        beginning = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        if not beginning <= position.offset < end:
            return None
        consumer.assign([place])
        consumer.seek(place, position.offset)
        record = await consumer.getone(place)
        found = read_record(record, {topic: source for source, topic in topics.items()}).stored
        return found if found.position == position else None


def read_one(cluster: Cluster, topics: Mapping[str, str], position: Position) -> Stored | None:
    """Do what `read_record_at` does, from code that has no event loop."""
    return asyncio.run(read_record_at(cluster, topics, position))


@asynccontextmanager
async def _asking(cluster: Cluster, group: str | None) -> AsyncIterator[Any]:
    """Connect, have the body answered in time, and close; whatever Kafka says against it is a `DependencyError`."""
    make: Any = AIOKafkaConsumer
    consumer = make(
        **client_arguments(cluster),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=int(_ANSWER_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await consumer.start()
            yield consumer
    except TimeoutError:
        raise DependencyError(f"Kafka at {', '.join(cluster.bootstrap)} does not answer in time") from None
    except (KafkaError, OSError) as error:
        why = type(error).__name__
        raise DependencyError(f"Kafka at {', '.join(cluster.bootstrap)} cannot be asked ({why})") from error
    finally:
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
        stopping.cancel()


async def _partitions(consumer: Any, topics: Mapping[str, str]) -> list[TopicPartition]:
    missing = sorted(set(topics.values()) - await consumer.topics())
    if missing:
        raise DependencyError(f"topic {missing[0]} is missing; `gateway topics create` makes it")
    consumer.assign([TopicPartition(topic, 0) for topic in topics.values()])  # so that the client learns of them
    while True:
        numbers = {topic: consumer.partitions_for_topic(topic) for topic in topics.values()}
        if all(numbers.values()):
            return [TopicPartition(topic, number) for topic, found in numbers.items() for number in sorted(found)]
        await asyncio.sleep(_METADATA_PAUSE)


def _numbers(offsets: Mapping[TopicPartition, int], topics: Mapping[str, str]) -> dict[int, int]:
    sources = {topic: source for source, topic in topics.items()}
    return {partition_number(sources[place.topic], place.partition): offset for place, offset in offsets.items()}


def _places(positions: Mapping[int, int], topics: Mapping[str, str]) -> dict[TopicPartition, int]:
    """Return the next offsets by Kafka's own names, without those of sources that are not asked for."""
    found = {}
    for partition, offset in positions.items():
        source = source_of(partition, topics)
        if source is not None:
            found[TopicPartition(topics[source], kafka_partition(partition))] = offset + 1
    return found
