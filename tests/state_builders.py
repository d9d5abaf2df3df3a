"""Builders for the tests of state files: events, pairs, and an open state of either kind."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway import testing
from gateway.core.event import Event, identity_digest
from gateway.keep.ports import MarkKey, Pair, Position, Store, Stored, Turn, Version
from gateway.keep.sqlite.state import LogPlace, SqliteState, register

LOG = LogPlace("log-1", 1000)
SCHEMA = "create table if not exists invoice (id text primary key, amount integer)"
INSERT = "insert into invoice (id, amount) values (:id, :amount)"
NOW_US = 1_700_000_000_000_000
_numbers = itertools.count(1)


class FakeClock:
    """A wall clock and a monotonic one that move when told to."""

    def __init__(self) -> None:
        self.us = NOW_US
        self.seconds = 1000.0

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.seconds

    def pass_seconds(self, seconds: float) -> None:
        self.seconds += seconds
        self.us += int(seconds * 1e6)


def make_event(*, id: str | None = None, **over: Any) -> Event:  # noqa: A002 - the event's own word
    """Return a valid event with an id of its own."""
    values = {
        "source": "stripe",
        "provider": "stripe",
        "id": id or f"evt_{next(_numbers)}",
        "type": "invoice.paid",
        "time_us": NOW_US,
        "received_us": NOW_US,
        "key": "cus_1",
        "headers": {"stripe-signature": "t=1"},
    }
    return testing.make_event(**{**values, **over})


def make_pair(*, handler: str = "record", offset: int = 1, event: Event | None = None, **over: object) -> Pair:
    """Return a valid pair."""
    values = {"handler": handler, "event": event or make_event(), "position": Position(0, offset), **over}
    return Pair(**values)  # type: ignore[arg-type]


def make_key(name: str = "evt_1", *, handler: str = "record", replay: str = "") -> MarkKey:
    """Return the mark key of an event of that id."""
    return MarkKey(handler, identity_digest("stripe", name), replay)


def stored(offset: int) -> Stored:
    """Return a stored record."""
    return Stored(Position(0, offset), make_event())


@asynccontextmanager
async def opened(path: Path, **over: object) -> AsyncIterator[SqliteState]:
    """Register router `billing` at the log's beginning if need be, and open its state."""
    register(path, "billing", LOG.log_id, 0)
    state = SqliteState.open(path, **{"router": "billing", "log": LOG, **over})  # type: ignore[arg-type]
    try:
        yield state
    finally:
        await state.close()


@asynccontextmanager
async def in_memory(now_us: Callable[[], int]) -> AsyncIterator[SqliteState]:
    """Open a state in memory."""
    state = SqliteState.in_memory("billing", now_us=now_us)
    try:
        yield state
    finally:
        await state.close()


async def begin(store: Store, name: str = "evt_1", *, version: Version | None = None, limit: float = 30.0) -> Turn:
    """Return a turn for the event of that id."""
    return await store.begin(make_key(name), version=version, attempt=1, limit=limit)


async def rows(store: Store) -> int:
    """Return the number of durable invoices, as a turn of its own sees them."""
    turn = await begin(store, f"probe_{next(_numbers)}")
    row = await turn.tx.fetch_one("select count(*) from invoice")
    await turn.rollback()
    assert row is not None
    return int(row[0])
