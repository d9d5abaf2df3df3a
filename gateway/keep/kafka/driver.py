"""The seam to a Kafka client that appends. `producer` fits aiokafka to it; another client could take its place.

A driver lives once: started, used, stopped. One that fails is replaced by a new one, never mended.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.keep.envelope import Record


class UnreachableError(Exception):
    """The cluster cannot be reached, or refuses us; the message says why, without secrets."""


class NotWrittenError(Exception):
    """None of the batch was written, for certain. `too_large`: a smaller batch might be."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class UnknownOutcomeError(Exception):
    """Whether the batch was written is not known; it may still be, later."""


class Driver(Protocol):
    """What the lanes and their keeper ask of a client. Used on one event loop."""

    @property
    def failed(self) -> str | None:
        """Why it will never append again, or None."""
        ...

    async def start(self) -> None:
        """Connect, by the configured addresses.

        Raises:
            UnreachableError: it could not; the driver is then to be stopped.
        """
        ...

    async def find(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of those `topics` that exist, and make ready to append to them.

        Raises:
            UnreachableError: the cluster does not answer.
        """
        ...

    async def produce(self, topic: str, partition: int, records: Sequence[Record]) -> int:
        """Append `records` together, at most once at a time to a partition; return the first one's offset.

        Bounded by the client's own timeouts, which are longer than any request's deadline.

        Raises:
            NotWrittenError: for certain.
            UnknownOutcomeError: anything else that went wrong.
        """
        ...

    async def stop(self) -> None:
        """Let go of everything within seconds. Raises nothing; what is in flight ends as unknown."""
        ...
