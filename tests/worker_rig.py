"""A worker on an in-memory state and a log in a list: what the tests of `handle` drive."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway import testing
from gateway.api import Backoff, Context, Router
from gateway.core.event import Event, body_bound_digest
from gateway.handle.equipment import Ports, WorkerSettings
from gateway.handle.pump import Worker
from gateway.keep.ports import DeadFilter, DeadLetter, Filter, MarkKey, Position, Replay, Stored
from gateway.keep.sqlite.state import SqliteState

Body = Callable[[Event, Context], Awaitable[None]]
ONCE = Backoff(attempts=1)
AT_ONCE = Backoff(attempts=3, first=0.0)
SCHEMA = "create table if not exists thing (id text, n integer)"
INSERT = "insert into thing (id, n) values (:id, 1)"
QUICK = WorkerSettings(poll=0.005, tend=0.02, grace=0.2, tx_timeout=30.0, patience=1.0)
START_US = 1_760_000_000_000_000


def router_of(body: Body, *, lifespan: Any = None, **options: Any) -> Router:
    """Return a router with one handler, `h`, for all events, that makes one attempt."""
    router = Router("r", schema=SCHEMA, lifespan=lifespan)
    options.setdefault("retry", ONCE)
    router.add(body, "*", name="h", **options)
    return router


async def succeed(event: Event, ctx: Context) -> None:
    pass


async def write(event: Event, ctx: Context) -> None:
    await ctx.tx.execute(INSERT, {"id": event.id})


def make_event(number: int = 1, *, id_signed: bool = True, **over: Any) -> Event:
    """Return a valid event; `id_signed=False` binds its dedupe key to the body."""
    values = {
        "source": "acme",
        "id": f"evt_{number}",
        "type": "thing.made",
        "time_us": START_US + number,
        "received_us": START_US,
        "body": b'{"n":%d}' % number,
    }
    event = testing.make_event(**{**values, **over})
    if id_signed:
        return event
    return msgspec.structs.replace(event, dedupe_key=body_bound_digest(event.identity, event.body_sha256))


class FakeClock:
    """A wall clock that moves when told."""

    def __init__(self) -> None:
        self.us = START_US

    def __call__(self) -> int:
        return self.us

    def forward(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class ListLog:
    """A log in a list, partition 0, offsets from 1; at once the subscription's reader and a replay's history."""

    def __init__(self) -> None:
        self.records: list[Stored] = []
        self.reads: list[Mapping[int, int]] = []

    def append(self, *events: Event | None) -> None:
        for event in events:
            position = Position(0, len(self.records) + 1)
            self.records.append(Stored(position, event, None if event else "bad envelope"))

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> Sequence[Stored]:
        chosen: list[Stored] = []
        size = 0
        for stored in self.records[seq : seq + max(1, max_events)]:
            size += len(stored.event.body) if stored.event else 0
            if chosen and size > max_bytes:
                break
            chosen.append(stored)
        return chosen

    def count_after(self, seq: int) -> int:
        return len(self.records) - seq

    def oldest_received_after(self, seq: int) -> int | None:
        rest = self.records[seq:]
        return rest[0].event.received_us if rest and rest[0].event else None

    def gap_events(self, router: str) -> int:
        return 0

    async def read(
        self, where: Filter, *, after: Mapping[int, int], upto: Mapping[int, int], max_events: int, max_bytes: int
    ) -> Sequence[Stored]:
        self.reads.append(dict(after))
        chosen = self.records[after.get(0, 0) : upto.get(0, 0)]
        return [stored for stored in chosen if where.type is None or stored.event.type == where.type][:max_events]  # type: ignore[union-attr]

    def close(self) -> None:
        pass


@dataclass
class CountingMeter:
    """Counts what a worker says."""

    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    deaths: Counter[tuple[str, str]] = field(default_factory=Counter)
    ages: list[float] = field(default_factory=list)
    handed: int = 0

    def ran(self, handler: str, outcome: str, seconds: float) -> None:
        self.runs[handler, outcome] += 1

    def died(self, handler: str, reason: str) -> None:
        self.deaths[handler, reason] += 1

    def done(self, age_seconds: float) -> None:
        self.ages.append(age_seconds)

    def replayed(self, count: int) -> None:
        self.handed += count


class Rig:
    """One worker and all around it. A state can outlive its worker, as a file outlives a process."""

    def __init__(
        self,
        router: Router,
        *,
        log: ListLog | None = None,
        state: SqliteState | None = None,
        settings: WorkerSettings = QUICK,
        clock: FakeClock | None = None,
        blame: Any = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.log = log or ListLog()
        self.state = state or SqliteState.in_memory(router.name, now_us=self.clock)
        self.meter = CountingMeter()
        self.killed: list[int] = []
        self.subscription = self.state.subscribe(self.log)
        ports = Ports(
            subscription=self.subscription,
            store=self.state.store,
            parking=self.state.parking,
            replays=self.state.replays,
            history=self.log,
            pausing=self.state.pausing,
            blame=blame or self.state.blame,
        )
        self.worker = Worker(router, ports, self.meter, settings=settings, now_us=self.clock, kill=self.killed.append)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.worker.run())

    async def stop(self, seconds: float = 5.0) -> None:
        """Drain the worker; a second call does nothing."""
        assert self.task is not None
        await self.worker.drain(seconds)
        await self.task

    def put(self, *events: Event | None) -> None:
        self.log.append(*events)
        self.subscription.wake()

    async def until(self, condition: Callable[[], object], *, deadline: float = 10.0) -> None:
        """Wait until the condition holds; the worker's own failure ends the wait."""
        async with asyncio.timeout(deadline):
            while not condition():
                if self.task is not None and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.002)

    async def until_committed(self, offset: int | None = None) -> None:
        upto = len(self.log.records) if offset is None else offset
        await self.until(lambda: self.subscription.committed().get(0, 0) >= upto)

    def limit_pages(self, most: int) -> None:
        """Let the state's disk be full beyond that many pages."""
        with self.state._committer.fence.own():
            self.state._connection.pragma("max_page_count", most)

    async def dead(self) -> Sequence[DeadLetter]:
        return await self.state.parking.dead_letters(DeadFilter(), limit=100)

    async def retry_dead(self, *ids: int) -> int:
        return await self.state.parking.retry_dead(DeadFilter(ids=ids))

    async def mark(self, handler: str, event: Event, replay: str = "") -> str | None:
        key = MarkKey(handler, event.dedupe_key, replay)
        return (await self.state.store.marked([key])).get(key)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        turn = await self.state.store.begin(MarkKey("reader", sql.encode(), ""), version=None, attempt=0, limit=5.0)
        try:
            return await turn.tx.fetch_all(sql)
        finally:
            await turn.rollback()


@contextlib.asynccontextmanager
async def working(router: Router, **options: Any) -> AsyncIterator[Rig]:
    """Start a worker; end it, whatever happens."""
    rig = Rig(router, **options)
    rig.start()
    try:
        yield rig
        await rig.stop()
    finally:
        if rig.task is not None and not rig.task.done():
            rig.task.cancel()
            await asyncio.gather(rig.task, return_exceptions=True)
        await rig.state.close()


def make_replay(**over: Any) -> Replay:
    values: dict[str, Any] = {
        "id": "r1",
        "handler": None,
        "where": Filter(),
        "mode": "missing",
        "new_keys": False,
        "rate": None,
        "upto": {0: 0},
    }
    return Replay(**{**values, **over})
