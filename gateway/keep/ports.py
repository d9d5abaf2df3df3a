"""The ports of `keep`: what the other rooms may ask of an engine, split by who asks.

`receive` appends (`EventLog`). `handle` subscribes (`Subscription`), parks (`Parking`) and keeps marks (`Store`).
`admin` and `cli` read (`Catalogue`). Every engine passes the same contract suite (`tests/contract`).

Rules of every engine:
- An append belongs to the log, never to a request: nothing cancels it.
- An append's future completes only when the event is durable, or certainly is not (`Unavailable.written is False`),
  or its outcome is unknown (`written is None`).
"""

from asyncio import Future
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.core.event import Event
from gateway.keep.values import (
    AlreadyDone,
    Appended,
    Backlog,
    DeadFilter,
    DeadLetter,
    DeadReason,
    Filter,
    LogHealth,
    MarkKey,
    Outcome,
    Pair,
    PairState,
    PairStatus,
    Position,
    Replay,
    StaleEvent,
    Stored,
    Summary,
    Version,
)

__all__ = [
    "AlreadyDone", "Appended", "Assignment", "Backlog", "Blame", "Catalogue", "DeadFilter", "DeadLetter",
    "DeadReason", "EventLog", "Filter", "History", "Index", "LogHealth", "MarkKey", "Outcome",
    "Pair", "PairState", "PairStatus", "Parking", "Pausing", "Position", "Replay", "Replays",
    "StaleEvent", "Store", "Stored", "Subscription", "Summary", "Turn", "Tx", "Version",
]  # fmt: skip


class EventLog(Protocol):
    """What the edge asks of the log."""

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        """Enqueue `events` and return at once, one future an event; call it on the event loop's thread.

        Raises:
            Unavailable: nothing was enqueued (over the buffer's budget, disk nearly full, cluster down, draining).
            TooLargeError: nothing was enqueued, and never will be.
        """
        ...

    def health(self) -> "LogHealth":
        """Return what is known without asking the disk or the network."""
        ...

    async def close(self) -> None:
        """Finish what is enqueued, then close. A second call does nothing."""
        ...


class Assignment(Protocol):
    """What a worker does when an engine gives it partitions to read, and takes them away again."""

    async def assigned(self, partitions: Collection[int]) -> None:
        """Make ready for these partitions; no record of them is fetched before this returns."""
        ...

    async def revoking(self, partitions: Collection[int]) -> None:
        """Start nothing more of these partitions, and note what is finished; their next owner may begin afterwards."""
        ...


class Subscription(Protocol):
    """One router's reading of the log. Reading starts after the committed position."""

    def listen(self, assignment: Assignment) -> None:
        """Tell `assignment` of partitions that come and go, from the first `fetch` on; it is awaited.

        The embedded log has one partition, which comes once and stays.
        """
        ...

    async def fetch(self, *, max_events: int, max_bytes: int) -> Sequence[Stored]:
        """Return the next records in order, at least one if any is there; wait up to a second for one, else empty."""
        ...

    def commit(self, positions: Mapping[int, int]) -> None:
        """Note that all up to these offsets is durably handled; written with the next group, never moved back.

        A partition that was taken away meanwhile is passed over.
        """
        ...

    def committed(self) -> Mapping[int, int]:
        """Return the last position noted for each partition."""
        ...

    async def backlog(self) -> "Backlog":
        """Return how much is stored past the committed position."""
        ...

    async def close(self) -> None:
        """Stop reading; wakes a waiting `fetch`."""
        ...


class Tx(Protocol):
    """A handler's transaction, as `ctx.tx` shows it. `:name` parameters work on every store."""

    @property
    def connection(self) -> Any:
        """The driver's own connection."""
        ...

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement; return the number of rows it changed."""
        ...

    async def fetch_one(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
        """Run one query; return its first row."""
        ...

    async def fetch_all(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one query; return all its rows."""
        ...


class Turn(Protocol):
    """One pair's transaction: opened at the first use of `ctx.tx`, the mark inserted before the handler's rows."""

    @property
    def tx(self) -> Tx:
        """What the handler is given."""
        ...

    def finish(self) -> "Future[None]":
        """End the transaction; the future completes when mark and rows are durable together."""
        ...

    async def rollback(self) -> None:
        """Undo the mark and the handler's rows, and let the next turn begin."""
        ...


class Store(Protocol):
    """Marks, the stale guard and the handlers' tables of one router."""

    async def apply_schema(self, statements: str) -> None:
        """Create the router's own tables.

        Raises:
            PluginError: the SQL is refused.
        """
        ...

    async def marked(self, keys: Sequence[MarkKey]) -> Mapping[MarkKey, str]:
        """Return those of `keys` that have a mark, each with its outcome."""
        ...

    async def begin(self, key: MarkKey, *, version: Version | None, attempt: int, limit: float) -> Turn:
        """Wait for the turn, open the transaction, insert the mark and check the guard.

        The turn is rolled back by itself after `limit` seconds (`TimeoutError` at the next use).

        Raises:
            AlreadyDone: the mark exists.
            StaleEvent: the guard holds a newer version.
        """
        ...

    def mark(self, key: MarkKey, outcome: Outcome, *, version: Version | None, attempt: int) -> "Future[None]":
        """Mark a pair that did not use `ctx.tx`, in the next group. With a version, the guard is moved with it."""
        ...

    async def newest(self, handler: str, version: Version) -> int | None:
        """Return the guard's newest applied version of that key, or None."""
        ...

    async def expire(self, before_us: int, limit: int) -> int:
        """Remove up to `limit` marks older than `before_us`; return how many."""
        ...

    async def close(self) -> None:
        """Finish what is pending, then close."""
        ...


class Parking(Protocol):
    """One router's durable retries and dead letters.

    `holds`, `due`, `parked` and `dead` know the pairs of the partitions that were taken; the embedded engine, all.
    """

    async def take(self, partitions: Collection[int]) -> None:
        """Begin to hand out what is parked of these partitions."""
        ...

    def release(self, partitions: Collection[int]) -> None:
        """Hand out no more of these partitions; what was handed out of them may come to another worker now."""
        ...

    def park(self, pair: Pair, *, due_us: int, error: str) -> "Future[None]":
        """Keep the pair until `due_us`; replaces its former parked row. Durable when the future completes."""
        ...

    def hold(self, pair: Pair) -> "Future[None]":
        """Keep the pair behind the parked ones of its (handler, key), in order of position: `order="strict"`."""
        ...

    def holds(self, handler: str, key: str) -> int:
        """Return how many pairs of that (handler, key) are parked or held, those whose write is under way included.

        An engine that was told which handlers are strict knows it of those alone.
        """
        ...

    async def taken(self, keys: Sequence[MarkKey]) -> Collection[MarkKey]:
        """Return those of `keys` that are parked, held or dead: read again after a crash, they are not run twice."""
        ...

    async def due(self, now_us: int, limit: int) -> Sequence[Pair]:
        """Return pairs whose time has come and that were not handed out before."""
        ...

    def settle(self, pair: Pair) -> "Future[None]":
        """Remove the parked row of a finished pair, and let the next held pair of its key become due."""
        ...

    def bury(self, pair: Pair, *, reason: DeadReason, error: str, trace: str) -> "Future[None]":
        """Make the pair a dead letter, in one step with removing its parked row."""
        ...

    def parked(self) -> int:
        """Return how many pairs are parked or held."""
        ...

    def dead(self) -> int:
        """Return how many dead letters there are."""
        ...

    async def dead_letters(self, where: "DeadFilter", *, limit: int, after_id: int = 0) -> Sequence[DeadLetter]:
        """Return dead letters, oldest first."""
        ...

    async def retry_dead(self, where: "DeadFilter") -> int:
        """Make dead letters parked pairs that are due at once, as if never run; return how many."""
        ...

    async def purge_dead(self, where: "DeadFilter") -> int:
        """Remove dead letters for good; return how many."""
        ...


class Catalogue(Protocol):
    """What can be asked of what is stored. Reads only; safe beside a running gateway."""

    def events(
        self, where: Filter, *, limit: int, newest_first: bool, after: Position | None = None
    ) -> Iterator[Summary]:
        """Return stored events: the newest first, or in the order in which they came to be asked for.

        The latter is for following: `after` an event come all that could not be asked for before it.
        """
        ...

    def end(self) -> Position | None:
        """Return the place of the last stored event, after which following begins; None if there is none."""
        ...

    def count(self, where: Filter) -> int:
        """Return how many stored events fit."""
        ...

    def event(self, source: str, event_id: str) -> Sequence[Stored]:
        """Return the stored copies of that event with their bodies (several only after an id conflict)."""
        ...

    def states(self, stored: Stored) -> Sequence[PairStatus]:
        """Return what each handler of each router made of it."""
        ...

    def dead_letters(self, router: str | None, *, limit: int, after_id: int = 0) -> Iterator[DeadLetter]:
        """Return dead letters, oldest first."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class Replays(Protocol):
    """One router's replays: durable, so that each resumes after a crash."""

    def save(self, replay: Replay) -> "Future[None]":
        """Insert or replace; with progress it joins the next group."""
        ...

    def running(self) -> Sequence[Replay]:
        """Return those not finished."""
        ...

    async def adopt(self) -> Sequence[Replay]:
        """Return those that are this worker's to run now: new ones, and those whose worker is gone, are taken over.

        Asked about once a second. One that is no longer returned was cancelled, or another worker runs it.
        """
        ...


class History(Protocol):
    """Reading stored events again, beside the subscription: for replays."""

    async def read(
        self, where: Filter, *, after: Mapping[int, int], upto: Mapping[int, int], max_events: int, max_bytes: int
    ) -> Sequence[Stored]:
        """Return the next fitting records after `after` and up to `upto` (inclusive); empty at the end.

        A partition that is absent from `after` is read from its beginning, one absent from `upto` not at all.
        """
        ...


class Pausing(Protocol):
    """Whether one router is paused; durable, so that a restart does not resume it."""

    def paused(self) -> str:
        """Return the cause (`operator`, `breaker`), empty if the router runs; another worker's word within seconds."""
        ...

    def set_paused(self, cause: str) -> "Future[None]":
        """Pause for `cause`, or resume if it is empty."""
        ...


class Index(Protocol):
    """Where the metadata and the place of stored events are written, for an engine whose log cannot be asked."""

    async def write(self, batch: Sequence[Stored]) -> None:
        """Write down a batch, durably; one written before is left as it is.

        Raises:
            Unavailable: it cannot be written now.
        """
        ...

    async def expire(self, before_us: int, limit: int) -> int:
        """Remove up to `limit` entries of events received before `before_us`; return how many."""
        ...


class Blame(Protocol):
    """Crash blame: which pair was running alone when the worker died (design 6.9)."""

    def unclean(self) -> bool:
        """Return whether the last worker of this router ended without `clean_exit`."""
        ...

    def clean_exit(self) -> "Future[None]":
        """Note that this worker ended in order."""
        ...

    def started_alone(self, key: MarkKey) -> "Future[None]":
        """Note durably that this pair now runs with nothing beside it."""
        ...

    def finished_alone(self, key: MarkKey) -> None:
        """Forget the note, in the next group."""
        ...

    def crashed(self, key: MarkKey) -> "Future[int]":
        """Count a crash against the pair, durably; return how many there are now."""
        ...

    def crashes(self, key: MarkKey) -> int:
        """Return the crashes counted against the pair, those of a note left by a dead worker included."""
        ...
