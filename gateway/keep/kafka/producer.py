"""aiokafka as a `Driver`: the only module that knows its producer, and reaches into it where it has no public way.

The settings and their reasons (measured with aiokafka 0.14 and Kafka 4.1):
- `enable_idempotence=False`: its idempotent producer never expires a batch, and one oversized record wedges a
  partition for good. Copies are absorbed by event ids instead.
- `request_timeout_ms` is also how long a batch may be retried; it bounds no caller. A failed batch takes up to 3.5
  times as long to say so.
- The sender task is not restarted by anyone: when it ends, or is cancelled, the producer is dead. It never goes back
  to the configured addresses either. Both are why drivers are replaced.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.metadata import MetadataRequest

from gateway.keep.envelope import Record
from gateway.keep.kafka.driver import NotWrittenError, UnknownOutcomeError, UnreachableError

REQUEST_TIMEOUT_MS = 4000
BATCH_BYTES = 262_144  # the default of 16 KiB collapses at some hundred concurrent appends

_STOP_SECONDS = 1.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_REFUSED = (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)


class Producer:
    """One aiokafka producer. Made on the event loop's thread.

    Args:
        arguments: from `client_arguments`.
        request_timeout_ms: how long to wait for a broker.
    """

    def __init__(self, arguments: Mapping[str, Any], *, request_timeout_ms: int = REQUEST_TIMEOUT_MS) -> None:
        self._producer: Any = AIOKafkaProducer(  # type: ignore[no-untyped-call]  # the seam: aiokafka has no types
            **arguments,
            acks="all",
            enable_idempotence=False,
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=request_timeout_ms,
            compression_type=None,
        )
        self._partitions: dict[str, int] = {}
        self._fatal: str | None = None

    @property
    def failed(self) -> str | None:
        """Why it will never append again, or None."""
        task = self._producer._sender.sender_task  # noqa: SLF001 - its end is told nowhere else
        if task is not None and task.done():
            return "the sender ended"
        return self._fatal

    async def start(self) -> None:
        """Connect, by the configured addresses.

        Raises:
            UnreachableError: it could not.
        """
        try:
            await self._producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnreachableError(type(error).__name__) from error

    async def find(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of those `topics` that exist, and make ready to append to them.

        Raises:
            UnreachableError: the cluster does not answer.
        """
        client = self._producer.client
        # Asked apart from the client's own refresh, which would make the broker create what is missing.
        request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
        try:
            answer = await client.send(client.get_random_node(), request)
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnreachableError(type(error).__name__) from error
        self._partitions |= {topic: len(partitions) for code, topic, _, partitions in answer.topics if code == 0}
        if self._partitions and not await client.set_topics(list(self._partitions)):
            raise UnreachableError("no metadata")
        return dict(self._partitions)

    async def produce(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """Append `records` together; return the first one's offset.

        Raises:
            NotWrittenError: for certain.
            UnknownOutcomeError: anything else that went wrong.
        """
        if partition >= self._partitions.get(topic, 0):
            raise NotWrittenError("the partition does not exist")
        batch = self._producer.create_batch()
        now_ms = int(time.time() * 1000)
        for record in records:
            if batch.append(timestamp=now_ms, key=record.key, value=record.value, headers=record.headers) is None:
                raise NotWrittenError("more than one batch", too_large=True)
        batch.close()
        try:
            metadata = await (await self._producer.send_batch(batch, topic, partition=partition))
        except Exception as error:  # whatever it is, somebody waits for an outcome
            raise self._outcome(error) from error
        if metadata is None:
            raise UnknownOutcomeError("the batch was forgotten")
        return int(metadata.offset)

    def _outcome(self, error: Exception) -> NotWrittenError | UnknownOutcomeError:
        """Classify. Only what is refused before it can be written is certain: a last error hides earlier attempts."""
        name = type(error).__name__
        if isinstance(error, _TOO_LARGE):
            return NotWrittenError(name, too_large=True)
        if isinstance(error, _REFUSED):
            return NotWrittenError(name)
        if type(error) is KafkaError or isinstance(error, ProducerClosed):  # "Unexpected error during batch delivery"
            self._fatal = name
        return UnknownOutcomeError(name)

    async def stop(self) -> None:
        """Let go of everything within seconds. Raises nothing; what is in flight ends as unknown."""
        stopping = asyncio.ensure_future(self._producer.stop())
        await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
        if not stopping.done():  # it waits for batches that a dead or stuck sender will never deliver
            self._forget_batches()
            closing = asyncio.ensure_future(self._producer.client.close())
            await asyncio.wait({stopping, closing}, timeout=_STOP_SECONDS)
            closing.cancel()
            stopping.cancel()
            await asyncio.wait({stopping, closing}, timeout=_STOP_SECONDS)
        with suppress(Exception, asyncio.CancelledError):
            stopping.result()

    def _forget_batches(self) -> None:
        """End the wait for batches. Not with an error, of which asyncio would say that nobody asked for it."""
        accumulator = self._producer._message_accumulator  # noqa: SLF001 - the only way to end its wait
        queued = [batch for batches in accumulator._batches.values() for batch in batches]  # noqa: SLF001
        for batch in (*queued, *accumulator._pending_batches):  # noqa: SLF001
            batch.done_noack()
