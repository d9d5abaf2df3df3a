"""What every engine's subscription promises a worker; each engine is one factory."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from gateway.core.event import Event
from gateway.keep.places import partition_number
from gateway.keep.ports import Backlog, Subscription
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from tests.kafka_reader_rig import Readers, collect, ids, source_topic
from tests.log_builders import OpenLog, sqlite_log
from tests.worker_rig import START_US, FakeClock, make_event


class Reading(Protocol):
    """One router's reading of one partition; `first` is the offset of its first record."""

    partition: int
    first: int

    async def append(self, *events: Event) -> None: ...

    async def open(self) -> Subscription:
        """Begin to read, or begin again after `close`."""
        ...


class OnSqlite:
    partition = 0
    first = 1

    def __init__(self, folder: Path, log: OpenLog, ends: AsyncExitStack) -> None:
        self._folder = folder
        self._log = log
        self._ends = ends
        self._state: SqliteState | None = None
        register(self._path, "r", log.reader.log_id(), 0)

    async def append(self, *events: Event) -> None:
        await self._log.append(*events)

    async def open(self) -> Subscription:
        if self._state is not None:
            await self._state.close()
        place = LogPlace(self._log.reader.log_id(), self._log.reader.last_seq())
        self._state = SqliteState.open(self._path, router="r", log=place, now_us=FakeClock())
        self._ends.push_async_callback(self._state.close)
        return self._state.subscribe(SqliteReader(self._folder / FILE_NAME))

    @property
    def _path(self) -> Path:
        return self._folder / "state" / "r.db"


class OnKafka:
    partition = partition_number("acme", 0)
    first = 0

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def append(self, *events: Event) -> None:
        await self._readers.topic.put_events(events)

    async def open(self) -> Subscription:
        return self._readers.open().subscription


@pytest.fixture(params=["sqlite", "kafka"])
async def reading(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reading]:
    async with AsyncExitStack() as ends:
        if request.param == "sqlite":
            yield OnSqlite(tmp_path, await ends.enter_async_context(sqlite_log(tmp_path)), ends)
        else:
            kafka, prefix = request.getfixturevalue("kafka"), request.getfixturevalue("kafka_prefix")
            yield OnKafka(await ends.enter_async_context(source_topic(kafka.bootstrap, prefix)))


def events(*numbers: int, size: int = 10) -> list[Event]:
    return [make_event(number, body=b"%d" % number + b"x" * size) for number in numbers]


def names(*numbers: int) -> list[str]:
    return [f"evt_{number}" for number in numbers]


async def test_what_is_appended_comes_once_and_in_order(reading: Reading) -> None:
    await reading.append(*events(*range(20)))
    subscription = await reading.open()

    found = await collect(subscription, 20)

    assert ids(found) == names(*range(20))
    assert {stored.position.partition for stored in found} == {reading.partition}
    assert [stored.position.offset for stored in found] == list(range(reading.first, reading.first + 20))
    assert not await subscription.fetch(max_events=5, max_bytes=100)


async def test_what_comes_later_is_fetched_later(reading: Reading) -> None:
    subscription = await reading.open()
    await reading.append(*events(1))
    assert ids(await collect(subscription, 1)) == names(1)

    await reading.append(*events(2, 3))

    assert ids(await collect(subscription, 2)) == names(2, 3)


async def test_a_fetch_returns_no_more_events_than_asked_for(reading: Reading) -> None:
    await reading.append(*events(*range(9)))
    subscription = await reading.open()

    found = [await subscription.fetch(max_events=2, max_bytes=2**20) for _ in range(3)]

    assert all(len(batch) <= 2 for batch in found)


async def test_a_fetch_returns_one_record_however_large(reading: Reading) -> None:
    await reading.append(*events(1, 2, size=50_000))
    subscription = await reading.open()
    found: list[object] = []

    async with asyncio.timeout(60):
        while len(found) < 2:
            batch = await subscription.fetch(max_events=10, max_bytes=1)
            assert len(batch) <= 1
            found += batch


async def test_without_records_a_fetch_is_empty(reading: Reading) -> None:
    subscription = await reading.open()

    assert not await subscription.fetch(max_events=10, max_bytes=10)


async def test_a_cancelled_fetch_loses_nothing(reading: Reading) -> None:
    subscription = await reading.open()
    fetching = asyncio.create_task(subscription.fetch(max_events=10, max_bytes=2**20))
    await asyncio.sleep(0)
    fetching.cancel()
    await asyncio.wait({fetching})

    await reading.append(*events(1, 2))

    assert ids(await collect(subscription, 2)) == names(1, 2)


async def test_close_wakes_a_fetch_and_ends_the_reading(reading: Reading) -> None:
    subscription = await reading.open()
    fetching = asyncio.create_task(subscription.fetch(max_events=10, max_bytes=10))
    await asyncio.sleep(0)

    await subscription.close()
    await subscription.close()

    assert not await fetching
    assert not await subscription.fetch(max_events=10, max_bytes=10)


async def test_a_commit_counts_at_once_and_never_goes_back(reading: Reading) -> None:
    await reading.append(*events(*range(5)))
    subscription = await reading.open()
    await collect(subscription, 5)

    subscription.commit({reading.partition: reading.first + 2})
    subscription.commit({reading.partition: reading.first + 1})

    assert subscription.committed() == {reading.partition: reading.first + 2}


async def test_the_next_reading_begins_after_what_was_committed(reading: Reading) -> None:
    await reading.append(*events(*range(5)))
    subscription = await reading.open()
    await collect(subscription, 5)
    subscription.commit({reading.partition: reading.first + 2})
    await subscription.close()

    again = await reading.open()

    assert ids(await collect(again, 2)) == names(3, 4)
    assert again.committed() == {reading.partition: reading.first + 2}


async def test_the_backlog_is_what_lies_past_the_committed_position(reading: Reading) -> None:
    await reading.append(*events(*range(5)))
    subscription = await reading.open()
    await collect(subscription, 5)
    assert (await subscription.backlog()).events == 5

    subscription.commit({reading.partition: reading.first + 3})
    assert (await subscription.backlog()).events == 1

    subscription.commit({reading.partition: reading.first + 4})
    assert await subscription.backlog() == Backlog(0, 0.0)


async def test_the_backlogs_age_is_that_of_its_oldest_event(reading: Reading) -> None:
    await reading.append(make_event(1, received_us=START_US - 60_000_000), make_event(2, received_us=START_US))
    subscription = await reading.open()
    await collect(subscription, 2)

    assert (await subscription.backlog()).oldest_seconds == pytest.approx(60.0)
    subscription.commit({reading.partition: reading.first})
    assert (await subscription.backlog()).oldest_seconds == pytest.approx(0.0)


async def test_a_worker_that_listens_is_ready_before_the_first_record(reading: Reading) -> None:
    await reading.append(*events(1))
    subscription = await reading.open()
    told: list[Collection[int]] = []

    class Worker:
        async def assigned(self, partitions: Collection[int]) -> None:
            told.append(partitions)

        async def revoking(self, partitions: Collection[int]) -> None:
            raise AssertionError("nobody takes it away")

    subscription.listen(Worker())
    await collect(subscription, 1)

    assert [set(partitions) for partitions in told] in ([], [{reading.partition}])
