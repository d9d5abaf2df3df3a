import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from gateway.keep.ports import Stored, Subscription
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from gateway.keep.sqlite.state_reader import cursor
from tests.state_builders import NOW_US, FakeClock, opened, stored


class ListReader:
    """A log in a list, read as the subscription reads the file."""

    def __init__(self, offsets: Sequence[int] = ()) -> None:
        self.records = [stored(offset) for offset in offsets]
        self.closed = threading.Event()
        self.reads = 0
        self.gap = 0

    def read_after(self, seq: int, max_events: int, max_bytes: int) -> Sequence[Stored]:
        self.reads += 1
        return [record for record in self.records if record.position.offset > seq][:max_events]

    def count_after(self, seq: int) -> int:
        return sum(record.position.offset > seq for record in self.records)

    def oldest_received_after(self, seq: int) -> int | None:
        return NOW_US if self.count_after(seq) else None

    def gap_events(self, router: str) -> int:
        return self.gap

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def state(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteState]:
    async with opened(tmp_path / "billing.db", now_us=clock.now_us) as state:
        yield state


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the condition is another thread's, or a file's
            await asyncio.sleep(0.001)


async def fetch(subscription: Subscription, most: int = 2) -> list[int]:
    return [record.position.offset for record in await subscription.fetch(max_events=most, max_bytes=10**6)]


async def test_records_come_in_order_each_once(state: SqliteState) -> None:
    subscription = state.subscribe(ListReader(range(1, 6)))

    assert [await fetch(subscription), await fetch(subscription), await fetch(subscription)] == [[1, 2], [3, 4], [5]]


async def test_fetch_of_an_empty_log_is_empty_after_a_while(state: SqliteState) -> None:
    assert await fetch(state.subscribe(ListReader())) == []


async def test_new_record_is_found_by_polling_and_by_waking(state: SqliteState) -> None:
    reader = ListReader()
    subscription = state.subscribe(reader)
    fetching = asyncio.ensure_future(fetch(subscription))
    await until(lambda: reader.reads > 0)

    reader.records.append(stored(1))
    subscription.wake()

    assert await fetching == [1]


async def test_cancelled_fetch_loses_nothing(state: SqliteState) -> None:
    subscription = state.subscribe(ListReader(range(1, 4)))
    fetching = asyncio.ensure_future(fetch(subscription))
    await asyncio.sleep(0)

    fetching.cancel()

    assert [await fetch(subscription), await fetch(subscription)] == [[1, 2], [3]]


async def test_closing_wakes_a_waiting_fetch_and_closes_the_reader(state: SqliteState) -> None:
    reader = ListReader()
    subscription = state.subscribe(reader)
    fetching = asyncio.ensure_future(fetch(subscription))
    await asyncio.sleep(0)

    await subscription.close()

    assert await fetching == []
    assert reader.closed.is_set()


async def test_cursor_is_kept_and_reading_goes_on_after_it(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    async with opened(path) as state:
        subscription = state.subscribe(ListReader(range(1, 6)))
        subscription.commit({0: 3})
        subscription.commit({0: 2})
        noted = subscription.committed()

    async with opened(path) as state:
        again = state.subscribe(ListReader(range(1, 6)))
        assert (noted, again.committed(), await fetch(again)) == ({0: 3}, {0: 3}, [4, 5])
    assert cursor(path) == 3


async def test_cursor_moves_alone_are_written_in_the_end(state: SqliteState, tmp_path: Path) -> None:
    subscription = state.subscribe(ListReader(range(1, 6)))

    subscription.commit({0: 5})

    await until(lambda: cursor(tmp_path / "billing.db") == 5)


async def test_backlog_counts_from_the_committed_position(state: SqliteState, clock: FakeClock) -> None:
    subscription = state.subscribe(ListReader(range(1, 6)))
    subscription.commit({0: 2})
    clock.pass_seconds(7)

    backlog = await subscription.backlog()
    subscription.commit({0: 5})
    nothing = await subscription.backlog()

    assert (backlog.events, backlog.oldest_seconds, backlog.gap_events) == (3, 7.0, 0)
    assert (nothing.events, nothing.oldest_seconds) == (0, 0.0)


async def test_records_that_retention_removed_are_told_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "billing.db"
    register(path, "billing", "log-1", 10)
    state = SqliteState.open(path, router="billing", log=LogPlace("log-1", 100))
    reader = ListReader([15, 16, 17])
    reader.gap = 4
    subscription = state.subscribe(reader)

    await fetch(subscription)
    await fetch(subscription)

    told = [(record.message, record.__dict__["events"]) for record in caplog.records]
    assert told == [("subscription.gap", 4)]
    assert (await subscription.backlog()).gap_events == 4
    await state.close()
