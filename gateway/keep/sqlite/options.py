"""What the embedded log is told when it opens, and what it holds per append. Times in seconds, sizes in bytes."""

import time
from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gateway.core.event import Event
from gateway.keep.ports import Appended


def wall_us() -> int:
    """Return the wall clock's microseconds since the epoch."""
    return time.time_ns() // 1000


def steady() -> float:
    """Return seconds of a clock that never steps and, where the system has one, goes on while it sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How the log is kept. `folder` holds `events.db` and `state/*.db`; `windows` says per source how long to know ids.

    With `keep_unhandled`, retention takes nothing that a router still needs: the disk's `min_free` is the only bound.

    `synchronous` and `vfs` are there for the tests that cut the power.
    """

    folder: Path
    retention: float = 14 * 86400.0
    max_bytes: int = 20 * 2**30
    keep_unhandled: bool = False
    min_free: int = 2**30
    max_queued_events: int = 20_000
    max_queued_bytes: int = 64 * 2**20
    windows: Mapping[str, float] = field(default_factory=dict)
    default_window: float = 7 * 86400.0
    synchronous: str = "full"
    vfs: str | None = None


class Entry(NamedTuple):
    """One event on its way to the disk: what is written, and who waits."""

    event: Event
    future: "Future[Appended]"
    head: bytes
    size: int
