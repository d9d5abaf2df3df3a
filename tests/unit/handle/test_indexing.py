import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.core.errors import Unavailable
from gateway.handle.indexing import Indexer
from gateway.keep.ports import Index, Stored, Subscription
from gateway.keep.sqlite.state import SqliteState
from tests.log_builders import OpenLog, make_event, memory_log
from tests.state_builders import NOW_US

DAY = 86_400.0


@dataclass
class ListIndex(Index):
    """An index in a list."""

    entries: list[str] = field(default_factory=list)
    broken: Exception | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    expired: list[tuple[int, int]] = field(default_factory=list)
    old: int = 0

    async def write(self, batch: Sequence[Stored]) -> None:
        self.asked.set()
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken
        self.entries += [stored.event.id for stored in batch if stored.event is not None]

    async def expire(self, before_us: int, limit: int) -> int:
        removed = min(limit, self.old)
        self.old -= removed
        self.expired.append((before_us, removed))
        return removed


@dataclass
class Rig:
    opened: OpenLog
    state: SqliteState
    subscription: Subscription
    index: ListIndex
    indexer: Indexer
    running: "asyncio.Task[None]"

    def committed(self) -> int:
        return self.subscription.committed().get(0, 0)


@pytest.fixture
def index() -> ListIndex:
    return ListIndex()


@pytest.fixture
async def rig(index: ListIndex, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr("gateway.handle.durably.STORE_PAUSE", 0.01)
    monkeypatch.setattr("gateway.handle.indexing._TEND_EVERY", 0.01)
    async with started(index) as rig:
        yield rig


@asynccontextmanager
async def started(index: ListIndex) -> AsyncIterator[Rig]:
    async with memory_log() as opened:
        state = SqliteState.in_memory("index")
        subscription = state.subscribe(opened.reader)
        indexer = Indexer(subscription, index, retention=DAY, now_us=lambda: NOW_US)
        running = asyncio.create_task(indexer.run())
        yield Rig(opened, state, subscription, index, indexer, running)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await subscription.close()
        await state.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the condition is another task's
            await asyncio.sleep(0.001)


async def test_everything_stored_is_written_in_order_and_then_committed(rig: Rig) -> None:
    await rig.opened.append(make_event("a"), make_event("b"))
    await rig.opened.append(make_event("c"))

    await until(lambda: rig.committed() == 3)

    assert rig.index.entries == ["a", "b", "c"]


async def test_what_the_index_cannot_take_waits_uncommitted_and_is_written_later(rig: Rig) -> None:
    rig.index.broken = Unavailable("store_down")
    await rig.opened.append(make_event("a"))
    await rig.index.asked.wait()
    uncommitted = rig.committed()

    rig.index.broken = None
    await until(lambda: rig.committed() == 1)

    assert uncommitted == 0
    assert rig.index.entries == ["a"]


async def test_a_drain_writes_and_commits_what_was_fetched(rig: Rig) -> None:
    rig.index.broken = Unavailable("store_down")
    await rig.opened.append(make_event("a"))
    await rig.index.asked.wait()
    draining = asyncio.create_task(rig.indexer.drain(30.0))
    await rig.opened.append(make_event("b"))

    rig.index.broken = None
    async with asyncio.timeout(30):
        await draining
        await rig.running

    assert rig.index.entries == ["a"]
    assert rig.committed() == 1
    assert rig.running.done()


async def test_a_drain_does_not_wait_for_an_index_that_stays_away(rig: Rig) -> None:
    rig.index.broken = Unavailable("store_down")
    await rig.opened.append(make_event("a"))
    await rig.index.asked.wait()

    async with asyncio.timeout(30):
        await rig.indexer.drain(0.02)
        await rig.running

    assert rig.committed() == 0


async def test_an_index_that_is_wrong_ends_the_indexer_with_its_error(rig: Rig) -> None:
    rig.index.broken = ValueError("no such column")
    await rig.opened.append(make_event("a"))

    with pytest.raises(ValueError, match="no such column"):
        await asyncio.wait_for(rig.running, 30)

    await rig.indexer.drain(30.0)  # returns at once


async def test_old_entries_are_removed_slice_after_slice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.handle.indexing._EXPIRE_SLICE", 10)
    monkeypatch.setattr("gateway.handle.indexing._EXPIRE_EVERY", 0.0)
    rig.index.old = 25

    await until(lambda: not rig.index.old)

    removals = [removed for _, removed in rig.index.expired if removed]
    assert removals == [10, 10, 5]
    assert {before_us for before_us, _ in rig.index.expired} == {NOW_US - int(DAY * 1e6)}


async def test_the_sample_tells_what_is_not_indexed_and_how_old_it_is(rig: Rig) -> None:
    rig.index.broken = Unavailable("store_down")
    await rig.opened.append(make_event("a", received_us=0), make_event("b", received_us=1))

    await until(lambda: rig.indexer.sample().events == 2)
    oldest = rig.indexer.sample().oldest_seconds
    rig.index.broken = None
    await until(lambda: rig.indexer.sample().events == 0)

    assert oldest > DAY
