"""What a worker counts. `gateway.admin` keeps the numbers; `handle` only knows these methods."""

from dataclasses import dataclass
from typing import Protocol


class RouterMeter(Protocol):
    """The numbers of one router."""

    def ran(self, handler: str, outcome: str, seconds: float) -> None:
        """Count one run of a handler and observe its duration."""
        ...

    def died(self, handler: str, reason: str) -> None:
        """Count a dead letter."""
        ...

    def done(self, age_seconds: float) -> None:
        """Observe an event's age when all its pairs have a durable outcome."""
        ...

    def replayed(self, count: int) -> None:
        """Count events handed out by a replay."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSample:
    """What is read at the time of a scrape. `paused` is the cause (`operator`, `breaker`), empty if running."""

    backlog_events: int
    oldest_unprocessed_seconds: float
    retries_parked: int
    dead_letters: int
    gap_events: int
    paused: str
