"""Several workers on one Postgres: what they do to the same pair, the same guard, the same rows, at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import psycopg
import pytest

from gateway.core.errors import PluginError, Unavailable
from gateway.keep.ports import AlreadyDone, StaleEvent, Version
from gateway.keep.postgres.store import PostgresStore
from tests.postgres_builders import durably, execute, opened_store, run
from tests.postgres_state_builders import eventually
from tests.state_builders import INSERT, NOW_US, SCHEMA, begin, make_key, rows


@pytest.fixture
async def store(migrated_database: str) -> AsyncIterator[PostgresStore]:
    async with opened_store(migrated_database) as store:
        await store.apply_schema(SCHEMA)
        yield store


@pytest.fixture
async def neighbour(migrated_database: str, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """Another worker of the same router."""
    async with opened_store(migrated_database) as neighbour:
        yield neighbour


def mark_all(store: PostgresStore, *names: str) -> list["asyncio.Future[None]"]:
    return [store.mark(make_key(name), "done", version=None, attempt=1) for name in names]


def waiting(dsn: str) -> object:
    """Return how many wait for another's row."""
    return execute(
        dsn,
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where datname = current_database() and not granted",
    )


async def test_second_run_waits_for_the_first_and_sees_its_outcome(
    store: PostgresStore, neighbour: PostgresStore
) -> None:
    turn = await begin(store)
    waiting = asyncio.ensure_future(begin(neighbour))
    await turn.rollback()
    second = await waiting
    third = asyncio.ensure_future(begin(store))
    await second.tx.execute(INSERT, {"id": "in_1", "amount": 5})
    await second.finish()

    with pytest.raises(AlreadyDone):
        await third

    assert await rows(store) == 1


async def test_turn_of_a_worker_that_stands_still_is_ended_by_the_server(
    store: PostgresStore, neighbour: PostgresStore
) -> None:
    zombie = await begin(store, limit=0.2)
    zombie._timer.cancel()  # type: ignore[attr-defined] # as if its loop did not run
    await zombie.tx.execute(INSERT, {"id": "in_0", "amount": 5})

    async with asyncio.timeout(60):
        assert await run(neighbour) == "done"

    with pytest.raises(Unavailable):
        await zombie.finish()
    assert await rows(store) == 1


async def test_statement_of_a_worker_that_stands_still_is_ended_by_the_server(store: PostgresStore) -> None:
    zombie = await begin(store, limit=0.2)
    zombie._timer.cancel()  # type: ignore[attr-defined] # as above

    with pytest.raises(TimeoutError, match="tx_timeout"):
        await zombie.tx.execute("select pg_sleep(60)")

    with pytest.raises(TimeoutError, match="tx_timeout"):
        zombie.finish()


async def test_event_that_grew_stale_while_it_waited_for_the_guard_is_stale(
    store: PostgresStore, neighbour: PostgresStore
) -> None:
    newer = await begin(store, "newer", version=Version("stripe", "cus_1", 20))
    waiting = asyncio.ensure_future(begin(neighbour, "older", version=Version("stripe", "cus_1", 19)))
    await asyncio.sleep(0.1)

    await newer.finish()

    with pytest.raises(StaleEvent):
        await waiting
    assert set(await store.marked([make_key("newer"), make_key("older")])) == {make_key("newer")}


async def test_key_that_no_text_column_holds_is_guarded_as_any_other(store: PostgresStore) -> None:
    for key in ("nul\0", "half\ud800", "quote'\"\\"):
        turn = await begin(store, f"first {key!r}", version=Version("stripe", key, 20))
        await turn.finish()
        await store.mark(make_key(f"second {key!r}"), "done", version=Version("stripe", key, 30), attempt=1)

        assert await store.newest("record", Version("stripe", key, 0)) == 30
    assert await store.newest("record", Version("stripe", "nul?", 0)) is None
    assert await store.newest("record", Version("stripe", "half?", 0)) is None


async def test_handlers_that_lock_one_another_out_are_both_done_in_the_end(
    store: PostgresStore, neighbour: PostgresStore, migrated_database: str
) -> None:
    execute(migrated_database, "insert into invoice (id, amount) values ('a', 0), ('b', 0)")
    both = asyncio.Barrier(2)
    met: list[str] = []

    async def add(store: PostgresStore, name: str, *ids: str) -> None:
        turn = await begin(store, name)
        try:
            for number, row in enumerate(ids):
                await turn.tx.execute("update invoice set amount = amount + 1 where id = :id", {"id": row})
                if number == 0 and not met:
                    await both.wait()
            await turn.finish()
        except Unavailable:
            met.append(name)
            raise
        finally:
            await turn.rollback()

    async with asyncio.timeout(60):
        await asyncio.gather(
            durably(lambda: add(store, "one", "a", "b")), durably(lambda: add(neighbour, "two", "b", "a"))
        )

    assert len(met) >= 1
    assert execute(migrated_database, "select sum(amount)::integer from invoice") == 4


async def test_groups_of_two_workers_never_lock_one_another_out(
    store: PostgresStore, neighbour: PostgresStore, migrated_database: str
) -> None:
    first, second, last = sorted(("a", "b", "c"), key=make_key)
    held = await begin(store, last)
    groups = mark_all(store, first, last, second)
    await eventually(lambda: waiting(migrated_database) == 1)
    groups += mark_all(neighbour, second, first)
    await eventually(lambda: waiting(migrated_database) == 2)

    await held.rollback()

    async with asyncio.timeout(60):
        await asyncio.gather(*groups)


async def test_marks_of_one_group_that_move_the_same_guard_leave_its_newest(store: PostgresStore) -> None:
    versions = (3, 9, 5)

    await asyncio.gather(
        *(
            store.mark(make_key(f"evt_{value}"), "done", version=Version("stripe", "cus_1", value), attempt=1)
            for value in versions
        )
    )

    assert await store.newest("record", Version("stripe", "cus_1", 0)) == 9


async def test_mark_that_cannot_be_written_costs_its_group_nothing(store: PostgresStore) -> None:
    good = [store.mark(make_key(f"evt_{number}"), "done", version=None, attempt=1) for number in range(20)]
    bad = store.mark(make_key("bad"), "done", version=None, attempt=2**40)
    worse = store.mark(make_key("worse", replay="nul\0"), "done", version=None, attempt=1)
    good += [store.mark(make_key("last"), "done", version=Version("stripe", "k", 1), attempt=1)]

    await asyncio.gather(*good)

    assert isinstance(bad.exception(), psycopg.DataError)
    assert isinstance(worse.exception(), psycopg.DataError)
    assert len(await store.marked([make_key("last"), make_key("bad"), make_key("evt_3")])) == 2


async def test_handlers_own_lock_that_it_does_not_want_to_wait_for_is_its_own_affair(
    store: PostgresStore, neighbour: PostgresStore, migrated_database: str
) -> None:
    execute(migrated_database, "insert into invoice (id, amount) values ('a', 0)")
    first, second = await begin(store, "first"), await begin(neighbour, "second")
    await first.tx.fetch_one("select * from invoice for update")

    with pytest.raises(psycopg.errors.LockNotAvailable):
        await second.tx.fetch_one("select * from invoice for update nowait")

    await asyncio.gather(first.finish(), second.finish())


async def test_workers_that_start_at_once_make_the_same_tables_and_the_same_ids(migrated_database: str) -> None:
    schema = SCHEMA + "; create index if not exists invoice_amount on invoice (amount)"
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened_store(migrated_database)) for _ in range(4)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(store.apply_schema(schema) for store in stores))
            await asyncio.gather(
                *(
                    store.mark(make_key(handler=name), "done", version=None, attempt=1)
                    for store in stores
                    for name in "ab"
                )
            )

    assert execute(migrated_database, "select count(*) from gateway.handler") == 2
    assert execute(migrated_database, "select count(*) from gateway.mark") == 2


async def test_schema_that_postgres_refuses_leaves_nothing(store: PostgresStore, migrated_database: str) -> None:
    with pytest.raises(PluginError, match="does not exist"):
        await store.apply_schema("create table if not exists good (id text); create index if not exists i on bad (id)")

    assert execute(migrated_database, "select to_regclass('good')") is None


async def test_routers_keep_marks_of_their_own(store: PostgresStore, migrated_database: str) -> None:
    await store.mark(make_key(), "done", version=None, attempt=1)

    async with opened_store(migrated_database, router="audit") as other:
        assert await other.marked([make_key()]) == {}


async def test_expiry_passes_over_what_another_worker_removes(migrated_database: str) -> None:
    now = [NOW_US]
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(opened_store(migrated_database, now_us=lambda: now[0])) for _ in range(3)
        ]
        await asyncio.gather(
            *(stores[0].mark(make_key(f"evt_{n}"), "done", version=None, attempt=1) for n in range(100))
        )
        removed = 0
        async with asyncio.timeout(60):
            while removed < 100:
                removed += sum(await asyncio.gather(*(store.expire(NOW_US + 1, 10) for store in stores)))

    assert removed == 100


async def test_bound_of_expiry_outlives_its_worker(migrated_database: str) -> None:
    async with opened_store(migrated_database) as store:
        await store.expire(NOW_US - 10_000_000, 10)
        await store.mark(make_key(), "done", version=None, attempt=1)

    async with opened_store(migrated_database) as store:  # whose clock is far ahead
        assert await store.expire(NOW_US + 10**15, 10) == 0
        with suppress(AlreadyDone):
            await begin(store)
            pytest.fail("the mark is gone")
