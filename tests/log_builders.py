"""Builders for the tests of the log: events, and an open log of either engine."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from gateway import testing
from gateway.core.errors import Unavailable
from gateway.core.event import Event, body_bound_digest
from gateway.keep.memory.log import MemoryLog, MemoryReader
from gateway.keep.ports import Appended, EventLog, Position, Stored
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions, steady, wall_us
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME

KEY = "customer-1"
_numbers = itertools.count(1)


def make_event(
    event_id: str | None = None,
    *,
    body: bytes = b'{"amount":100}',
    source: str = "acme",
    signed: bool = False,
    **over: Any,
) -> Event:
    """Return a valid event; `signed` says whether the signature covers its id."""
    values: dict[str, Any] = {
        "source": source,
        "id": f"evt_{next(_numbers)}" if event_id is None else event_id,
        "type": "invoice.paid",
        "time_us": None,
        "received_us": wall_us(),
        "key": KEY,
        "headers": {"x-acme-kind": "invoice"},
        "verified_by": "new",
        "delivery_id": "delivery-1",
    }
    event = testing.make_event(body=body, **{**values, **over})
    if signed or "dedupe_key" in over:
        return event
    return msgspec.structs.replace(event, dedupe_key=body_bound_digest(event.identity, event.body_sha256))


class Reader(Protocol):
    def read_after(self, seq: int, max_events: int, max_bytes: int) -> Sequence[Stored]: ...
    def last_seq(self) -> int: ...
    def log_id(self) -> str: ...
    def count_after(self, seq: int) -> int: ...
    def oldest_received_after(self, seq: int) -> int | None: ...
    def gap_events(self, router: str) -> int: ...
    def close(self) -> None: ...


@dataclass
class OpenLog:
    """An open log, and what it told its owner.

    `remembers_places` and `measures` say what its engine can: tell where the first copy of a duplicate is, and how much
    is stored.
    """

    remembers_places: ClassVar[bool] = True
    measures: ClassVar[bool] = True

    log: EventLog
    reader: Reader
    woken: threading.Event = field(default_factory=threading.Event)
    poisoned: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, number: int) -> Position:
        """Return the place of the nth stored event of source `acme` and key `KEY`."""
        return Position(0, number)

    async def append(self, *events: Event) -> list[Appended]:
        return list(await asyncio.gather(*self.log.append(events)))

    async def outcomes(self, *events: Event) -> list[Appended | Unavailable]:
        outcomes = await asyncio.gather(*self.log.append(events), return_exceptions=True)
        assert all(isinstance(outcome, Appended | Unavailable) for outcome in outcomes), outcomes
        return outcomes  # type: ignore[return-value]

    def stored(self, after: int = 0) -> list[Event]:
        found = self.reader.read_after(after, 100_000, 2**30)
        assert all(record.event is not None for record in found), [record.error for record in found]
        return [record.event for record in found if record.event is not None]

    def ids(self) -> list[str]:
        return [event.id for event in self.stored()]


@asynccontextmanager
async def sqlite_log(
    folder: Path,
    *,
    now_us: Callable[[], int] = wall_us,
    steady_now: Callable[[], float] = steady,
    **options: Any,
) -> AsyncIterator[OpenLog]:
    """Open the log in `folder`, and close it whatever happens."""
    woken, poisoned = threading.Event(), asyncio.Event()
    chosen: dict[str, Any] = {"folder": folder, "min_free": 0} | options
    log = SqliteLog(
        LogOptions(**chosen),
        wake=woken.set,
        on_poison=poisoned.set,
        now_us=now_us,
        steady_now=steady_now,
    )
    reader = SqliteReader(folder / FILE_NAME)
    try:
        yield OpenLog(log, reader, woken, poisoned)
    finally:
        reader.close()
        await log.close()


@asynccontextmanager
async def memory_log(**options: Any) -> AsyncIterator[OpenLog]:
    woken = threading.Event()
    log = MemoryLog(wake=woken.set, **options)
    yield OpenLog(log, MemoryReader(log), woken)
    await log.close()


async def until(check: Callable[[], object], what: str = "the condition", deadline: float = 20.0) -> None:
    """Wait until `check` is true, or fail."""
    ends = time.monotonic() + deadline
    while not check():
        assert time.monotonic() < ends, f"{what} did not come true"
        await asyncio.sleep(0.01)
