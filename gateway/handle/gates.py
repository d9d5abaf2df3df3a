"""The gates of a router's handlers: how many may run at a time, and how many may begin a second."""

from collections.abc import Iterable

from gateway.api import Handler
from gateway.handle.rates import Bucket

# Pairs that are buried without a run (an unreadable record, a handler that is gone) pass through a gate of their own.
NO_HANDLER = "*"


class Gate:
    """One handler's gate."""

    __slots__ = ("bucket", "limit", "name", "running")

    def __init__(self, name: str, limit: int | None = None, rate: float | None = None) -> None:
        self.name = name
        self.limit = limit
        self.bucket = None if rate is None else Bucket(rate)
        self.running = 0

    def wait(self, now: float) -> float | None:
        """Return the seconds until a run may begin (0.0: now), or None if one must end first."""
        if self.limit is not None and self.running >= self.limit:
            return None
        return 0.0 if self.bucket is None else self.bucket.wait(now)

    def enter(self) -> None:
        """Note that a run begins."""
        self.running += 1
        if self.bucket is not None:
            self.bucket.take()

    def leave(self) -> None:
        """Note that a run ended."""
        self.running -= 1


def gates_of(handlers: Iterable[Handler]) -> dict[str, Gate]:
    """Return a gate for each handler, and the one of pairs without a handler."""
    gates = {handler.name: Gate(handler.name, handler.concurrency, handler.rate) for handler in handlers}
    return {**gates, NO_HANDLER: Gate(NO_HANDLER)}
