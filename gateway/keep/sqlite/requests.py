"""What waits for a group of the committer: requests and turns; and how SQLite's errors look to those who wait."""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import apsw

from gateway.core.errors import Unavailable

T = TypeVar("T")
Write = Callable[[apsw.Connection], T]

# After these nobody knows what is on the disk.
POISON = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)


class Waiter(Protocol):
    """Who waits for a turn, and then holds it."""

    def open(self) -> bool:
        """Start within the group's transaction; return whether the turn is now held."""
        ...

    def fail(self, error: Exception) -> None:
        """Learn that the turn will not come, or, while holding it, that its transaction is lost."""
        ...


@dataclass(slots=True)
class Request:
    """One queued write; `done` hears its value after the commit, before `future` completes."""

    write: Write[Any]
    done: Callable[[Any], None] | None
    future: "Future[Any]"
    value: Any = None


def fail(future: "Future[Any]", error: Exception) -> None:
    """Fail `future`, unless it is over already (whoever waited was cancelled)."""
    if not future.done():
        future.set_exception(error)


def seen(error: Exception) -> Exception:
    """Return a failed statement's error as the one who asked is to see it."""
    return Unavailable("disk_full") if isinstance(error, apsw.FullError) else error


def unavailable(error: Exception) -> Unavailable:
    """Return what those see whose group was lost to `error`."""
    if isinstance(error, apsw.FullError):
        return Unavailable("disk_full")
    return Unavailable("deadline" if isinstance(error, apsw.InterruptError) else "log_down")
