"""Reading one topic to its present end and on, without a group: all partitions, nothing committed.

It lives once: opened, read, closed. One that fails or falls silent is replaced by a new one, never mended: aiokafka's
fetching task can end, or wait for ever, without a sign. Every wait has a deadline.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

_REQUEST_MS = 5_000
_OPEN_SECONDS = 15.0
_ANSWER_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_WAIT_MS = 500
_MOST_RECORDS = 64


class SilentError(Exception):
    """A partition's broker has not answered for too long."""


class Tail:
    """A reader of all partitions of `topic`. Made on the event loop's thread.

    Args:
        arguments: from `client_arguments`.
        topic: must exist.
        partitions: how many it has.
    """

    def __init__(self, arguments: Mapping[str, Any], topic: str, partitions: int) -> None:
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        kind: Any = AIOKafkaConsumer
        self._consumer = kind(
            **arguments,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=_REQUEST_MS,
            fetch_max_wait_ms=_WAIT_MS,
        )
        self._stamps: dict[TopicPartition, int] = {}
        self._heard: dict[TopicPartition, float] = {}
        self.caught_up = False

    async def open(self, places: Mapping[int, int], since_ms: int) -> None:
        """Connect, and go to `places` (the next offset of each partition), or to the first record since `since_ms`.

        Raises:
            KafkaError, TimeoutError: the cluster does not answer.
        """
        async with asyncio.timeout(_OPEN_SECONDS):
            await self._consumer.start()
            self._consumer.assign(self._parts)
            # The ends first: what comes between the two questions is then read, not passed over.
            ends = await self._consumer.end_offsets(self._parts)
            found = await self._consumer.offsets_for_times(dict.fromkeys(self._parts, since_ms))
        starts = {part: ends[part] if found.get(part) is None else found[part].offset for part in self._parts}
        starts |= {part: places[part.partition] for part in self._parts if part.partition in places}
        for part, start in starts.items():
            self._consumer.seek(part, start)
        self._heard = dict.fromkeys(self._parts, time.monotonic())
        self.caught_up = all(starts[part] >= ends[part] for part in self._parts)

    async def read(self) -> list[bytes | None]:
        """Return the values of the next records; wait half a second for one, else return none.

        Raises:
            KafkaError, TimeoutError: reading has failed.
        """
        async with asyncio.timeout(_ANSWER_SECONDS):
            found = await self._consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_RECORDS)
        self._listen()
        self.caught_up = await self._at_the_end()
        return [record.value for records in found.values() for record in records]

    @property
    def heard_at(self) -> float:
        """When the partition that was last heard of longest ago was heard of, on `time.monotonic`'s clock."""
        return min(self._heard.values())

    async def places(self) -> dict[int, int]:
        """Return the next offset of each partition."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            return {part.partition: await self._consumer.position(part) for part in self._parts}

    async def skip_to_end(self) -> None:
        """Pass over what there is."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            for part, end in (await self._consumer.end_offsets(self._parts)).items():
                self._consumer.seek(part, end)

    async def close(self) -> None:
        """Let go of everything within seconds; raises nothing."""
        ending = {asyncio.ensure_future(self._consumer.stop())}
        await asyncio.wait(ending, timeout=_CLOSE_SECONDS)
        if not all(task.done() for task in ending):  # it waits for a fetch that nobody will answer
            ending.add(asyncio.ensure_future(self._consumer._client.close()))  # noqa: SLF001 - frees the sockets
            await asyncio.wait(ending, timeout=_CLOSE_SECONDS)
        for task in ending:
            task.cancel()
        await asyncio.wait(ending, timeout=_CLOSE_SECONDS)
        for task in ending:
            with suppress(Exception, asyncio.CancelledError):
                task.result()

    def _listen(self) -> None:
        """Note which partitions' brokers have answered since the last time."""
        now = time.monotonic()
        for part in self._parts:
            stamp = self._consumer.last_poll_timestamp(part)
            if stamp is not None and stamp != self._stamps.get(part):
                self._stamps[part], self._heard[part] = stamp, now

    async def _at_the_end(self) -> bool:
        for part, place in (await self.places()).items():
            end = self._consumer.highwater(self._parts[part])
            if end is None or place < end:
                return False
        return True
