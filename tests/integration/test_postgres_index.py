"""The index in a real Postgres, and the catalogue that reads it: what no other engine has."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from deploy.local.processes import free_ports
from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.ports import Filter, Position, Stored
from gateway.keep.postgres.catalogue import PostgresCatalogue
from gateway.keep.postgres.connection import connect, open_pool
from gateway.keep.postgres.index import PostgresIndex
from tests.catalogue_builders import PostgresWorld, postgres_world
from tests.log_builders import make_event, until

START_US = 1_790_000_000_000_000


@pytest.fixture
async def world(migrated_database: str) -> AsyncIterator[PostgresWorld]:
    async with postgres_world(migrated_database) as world:
        yield world


def followed(world: PostgresWorld, after: Position | None = None) -> list[str]:
    return [found.id for found in world.catalogue.events(Filter(), limit=10_000, newest_first=False, after=after)]


async def test_a_batch_that_is_written_again_is_left_as_it_is(world: PostgresWorld) -> None:
    batch = [world.place(make_event(name)) for name in "ab"]
    await world.index.write(batch)
    end = world.catalogue.end()

    await world.index.write([*batch, world.place(make_event("c"))])

    assert followed(world) == ["a", "b", "c"]
    assert followed(world, after=end) == ["c"]


async def test_a_batch_is_listed_by_time_of_receipt_not_by_partition(world: PostgresWorld) -> None:
    await world.append(*[make_event(f"e{number}", key=f"k{number}", received_us=number) for number in (3, 1, 4, 2)])

    assert followed(world) == ["e1", "e2", "e3", "e4"]


async def test_a_record_that_cannot_be_decoded_is_left_out(world: PostgresWorld) -> None:
    await world.index.write([Stored(Position(0, 7), None, "envelope version 99")])
    await world.index.write([Stored(Position(0, 8), None, "no value"), world.place(make_event("a"))])

    assert followed(world) == ["a"]
    assert world.catalogue.count(Filter()) == 1


async def test_nothing_a_stranger_can_write_into_a_record_stops_the_indexer(world: PostgresWorld) -> None:
    odd = "\0\ud800" + "x" * 10_000
    event = make_event(odd, type=odd, key=odd, source="other\0", provider="\ud800", flags=("\0",))

    await world.append(event)

    (found,) = world.catalogue.events(Filter(type=odd), limit=10, newest_first=True)
    assert found.id.startswith("\0\ud800xxx")


async def test_a_follower_is_shown_nothing_that_another_indexer_could_still_be_shown_before(
    world: PostgresWorld, migrated_database: str
) -> None:
    slow, quick = world.place(make_event("slow")), world.place(make_event("quick"))
    with psycopg.connect(migrated_database) as watching:
        watching.autocommit = True
        pool = await open_pool(migrated_database, name="slow", most=1)
        async with pool.connection() as held, held.transaction():
            await PostgresIndex(_Lent(held)).write([slow])  # type: ignore[arg-type]
            writing = asyncio.create_task(world.index.write([quick]))
            await until(lambda: _waits(watching), "the second indexer waits")
            before = followed(world)
        await writing
        await pool.close()

    assert before == []
    assert followed(world) == ["slow", "quick"]


class _Lent:
    """A pool of one connection that is inside a transaction."""

    def __init__(self, connection: object) -> None:
        self._connection = connection

    def connection(self) -> "_Lent":
        return self

    async def __aenter__(self) -> object:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        pass


def _waits(watching: psycopg.Connection) -> bool:
    row = watching.execute(
        "select exists (select 1 from pg_locks where locktype = 'advisory' and not granted)"
    ).fetchone()
    return bool(row and row[0])


async def test_old_entries_are_removed_the_oldest_first_up_to_the_limit(migrated_database: str) -> None:
    clock = [0.0]
    async with postgres_world(migrated_database) as world:
        index = PostgresIndex(world.pool, steady=lambda: clock[0])
        await world.append(*[make_event(f"e{number}", received_us=START_US + number) for number in range(6)])
        nothing_yet = await index.expire(START_US + 4, 10)
        clock[0] += 3600

        removed = [await index.expire(START_US + 4, 3) for _ in range(3)]

    assert (nothing_yet, removed) == (0, [3, 1, 0])


async def test_a_clock_that_jumps_removes_no_more_than_the_time_that_passed(migrated_database: str) -> None:
    clock, day_us = [0.0], 86_400_000_000
    async with postgres_world(migrated_database) as world:
        index = PostgresIndex(world.pool, steady=lambda: clock[0])
        await world.append(*[make_event(f"e{day}", received_us=START_US + day * day_us) for day in range(10)])
        await index.expire(START_US, 10)
        clock[0] += 86_400.0

        removed = await index.expire(START_US + 3650 * day_us, 10)

        assert removed == 2  # twice as fast as time passed, so that it catches up after a stop
        assert followed(world)[0] == "e2"


async def test_an_empty_index_expires_nothing(world: PostgresWorld) -> None:
    assert await world.index.expire(START_US, 10) == 0


async def test_an_index_that_cannot_be_reached_is_unavailable() -> None:
    (port,) = free_ports(1)
    pool = await open_pool(f"postgresql://gateway@127.0.0.1:{port}/gateway", name="test", most=1)
    pool.timeout = 0.1
    index = PostgresIndex(pool)

    with pytest.raises(Unavailable, match="store_down"):
        await index.write([Stored(Position(0, 1), make_event("a"))])
    with pytest.raises(Unavailable, match="store_down"):
        await index.expire(START_US, 10)

    await pool.close()


async def test_an_event_that_the_log_stored_twice_is_one_copy(world: PostgresWorld) -> None:
    event = make_event("a")
    first, _ = await world.append(event, event)

    (copy,) = world.catalogue.event("acme", "a")

    assert copy.position == first
    assert world.catalogue.count(Filter()) == 2


async def test_an_event_whose_body_the_log_let_go_says_so(world: PostgresWorld) -> None:
    (position,) = await world.append(make_event("a"))
    del world.records[position]

    (copy,) = world.catalogue.event("acme", "a")

    assert (copy.position, copy.event) == (position, None)
    assert "no longer" in (copy.error or "")
    assert world.catalogue.states(copy) == []


async def test_another_event_in_its_place_is_not_taken_for_it(world: PostgresWorld) -> None:
    (position,) = await world.append(make_event("a"))
    world.records[position] = Stored(position, make_event("a", body=b"of another log"))

    (copy,) = world.catalogue.event("acme", "a")

    assert copy.event is None
    assert "made anew" in (copy.error or "")


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_list_longer_than_a_page_is_whole_and_in_order(
    world: PostgresWorld, monkeypatch: pytest.MonkeyPatch, *, newest_first: bool
) -> None:
    monkeypatch.setattr("gateway.keep.postgres.catalogue._PAGE", 3)
    # Several were received in one microsecond: the place decides.
    await world.append(*[make_event(f"e{number}", key=f"k{number}", received_us=number // 4) for number in range(10)])

    listed = list(world.catalogue.events(Filter(), limit=100, newest_first=newest_first))
    few = list(world.catalogue.events(Filter(), limit=7, newest_first=newest_first))

    assert len({found.id for found in listed}) == 10
    times = [(found.received_us, found.position) for found in listed]
    assert times == sorted(times, reverse=newest_first)
    assert few == listed[:7]


async def test_listing_after_an_entry_that_expired_goes_on_with_what_is_left(world: PostgresWorld) -> None:
    await world.append(make_event("a"))

    gone = Position(1, 1)

    assert followed(world, after=gone) == ["a"]
    assert list(world.catalogue.events(Filter(), limit=10, newest_first=True, after=gone)) == []


def test_a_database_without_our_tables_names_the_remedy(database: str) -> None:
    catalogue = PostgresCatalogue(connect(database, name="test"), lambda _position, _source: None)

    with pytest.raises(DependencyError, match="gateway store migrate"):
        catalogue.count(Filter())

    catalogue.close()
