"""What commands do to a router in Postgres: register, forget, pause, replay, send dead letters back."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.core.errors import DependencyError
from gateway.keep.ports import DeadFilter, Filter, MarkKey, Replay
from gateway.keep.postgres import registration
from gateway.keep.postgres.connection import Pool
from gateway.keep.postgres.offline import ordering
from gateway.keep.postgres.registration import forget, register, registered
from gateway.keep.postgres.state import PostgresState
from tests.postgres_rig import PASSWORD
from tests.postgres_state_builders import Worker, begin_at, eventually, pooled, worker_in
from tests.state_builders import NOW_US, make_key, make_pair

REPLAY = Replay(id="rp_1", handler=None, where=Filter(), mode="missing", new_keys=False, rate=None, upto={0: 9})
ALL = DeadFilter()


async def fill(worker: Worker) -> None:
    """Leave a row in every table that holds something of a router."""
    for offset in range(1, 4):
        await worker.parking.park(make_pair(offset=offset), due_us=0, error="")
        await worker.parking.bury(make_pair(offset=offset), reason="gave_up", error="", trace="")
        await worker.store.mark(make_key(f"evt_{offset}"), "done", version=None, attempt=1)
    await worker.replays.save(REPLAY)
    await worker.blame.started_alone(make_key())
    await worker.blame.crashed(make_key())
    await worker.blame.started_alone(make_key())
    worker.places.note_gap(1, 0, 3)
    await worker.places.flush()


async def rows_of(worker: Worker, router: str) -> dict[str, int]:
    """Return how many rows each table has of a router."""
    by_handler = "handler in (select id from gateway.handler where router = %s)"
    chosen = {"mark": by_handler, "guard": by_handler, "router": "name = %s"}
    tables = await worker.execute(
        "select table_name from information_schema.tables where table_schema = 'gateway'"
        " and table_name not in ('event', 'version', 'expiry')"
    )
    found = {}
    for (table,) in tables:
        [(rows,)] = await worker.execute(
            f"select count(*) from gateway.{table} where {chosen.get(str(table), 'router = %s')}", router
        )
        found[str(table)] = int(str(rows))
    return found


async def test_registering_again_changes_nothing(migrated_database: str) -> None:
    async with pooled(migrated_database) as pool:
        before = await registered(pool, "billing")
        first = await register(pool, "billing", begin_at({1: 7, 2: -1}), NOW_US)
        second = await register(pool, "billing", begin_at({1: 99, 3: 5}), NOW_US)
        state = await PostgresState.open(pool, router="billing", instance="here", now_us=lambda: NOW_US)

        assert (before, first, second, await registered(pool, "billing")) == (False, True, False, True)
        assert await state.places.load() == {1: 7, 2: -1}
        await state.close()


async def test_of_two_that_register_at_a_time_the_second_determines_no_start(migrated_database: str) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> Mapping[int, int]:
        started.set()
        await may_end.wait()
        return {1: 7}

    async def never() -> Mapping[int, int]:
        raise AssertionError("the router is known")

    async with pooled(migrated_database) as pool:
        first = asyncio.create_task(register(pool, "billing", slowly, NOW_US))
        await started.wait()
        second = asyncio.create_task(register(pool, "billing", never, NOW_US))
        await eventually(lambda: waits_for_a_lock(pool))
        may_end.set()

        assert (await first, await second) == (True, False)


async def test_registration_that_failed_in_the_middle_is_begun_anew(migrated_database: str) -> None:
    async def fail() -> Mapping[int, int]:
        raise DependencyError("the log cannot be asked")

    async with pooled(migrated_database) as pool:
        with pytest.raises(DependencyError, match="the log cannot be asked"):
            await register(pool, "billing", fail, NOW_US)

        assert await register(pool, "billing", begin_at({1: 7}), NOW_US)


async def waits_for_a_lock(pool: Pool) -> bool:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return await cursor.fetchone() is not None


async def test_router_that_was_never_registered_is_refused(migrated_database: str) -> None:
    async with pooled(migrated_database) as pool:
        with pytest.raises(DependencyError, match="gateway work"):
            await PostgresState.open(pool, router="billing", instance="here", now_us=lambda: NOW_US)
        with pytest.raises(DependencyError, match="gateway work"):
            async with ordering(migrated_database, router="billing"):
                pass


async def test_database_without_our_tables_is_refused_with_the_remedy(database: str) -> None:
    async with pooled(database) as pool:
        with pytest.raises(DependencyError, match="gateway store migrate") as refused:
            await PostgresState.open(pool, router="billing", instance="here", now_us=lambda: NOW_US)

    assert PASSWORD not in str(refused.value)


async def test_forgotten_router_leaves_nothing_and_its_neighbour_everything(
    migrated_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "_SLICE", 2)
    async with worker_in(migrated_database, router="shipping") as other:
        await fill(other)
        kept = await rows_of(other, "shipping")
        async with worker_in(migrated_database) as worker:
            await fill(worker)
            full = await rows_of(other, "billing")
            await worker.blame.clean_exit()

        await forget(other.pool, "billing")

        assert not [table for table, rows in full.items() if not rows and table != "guard"]
        assert not [table for table, rows in (await rows_of(other, "billing")).items() if rows]
        assert await rows_of(other, "shipping") == kept


async def test_router_that_runs_is_not_forgotten(migrated_database: str) -> None:
    async with worker_in(migrated_database, instance="shop-1") as worker:
        with pytest.raises(DependencyError, match="shop-1"):
            await forget(worker.pool, "billing")

        assert await registered(worker.pool, "billing")


async def test_commands_change_a_router_that_does_not_run(migrated_database: str) -> None:
    pair = make_pair(attempt=8)
    async with worker_in(migrated_database) as worker:
        await worker.parking.bury(pair, reason="gave_up", error="", trace="")
        await worker.parking.bury(make_pair(handler="other"), reason="crashed", error="", trace="")
        await worker.store.mark(MarkKey("record", pair.event.dedupe_key), "dead", version=None, attempt=8)

    async with ordering(migrated_database, router="billing") as orders:
        await orders.pausing.set_paused("operator")
        retried = await orders.parking.retry_dead(DeadFilter(handler="record"))
        purged = await orders.parking.purge_dead(ALL)
        paused = orders.pausing.paused()

    async with worker_in(migrated_database) as worker:
        [given] = await worker.parking.due(0, 10)
        assert (retried, purged, paused, worker.pausing.paused()) == (1, 1, "operator", "operator")
        assert (given.event, given.attempt, worker.parking.dead()) == (pair.event, 0, 0)
        assert await worker.store.marked([MarkKey("record", pair.event.dedupe_key)]) == {}


async def test_command_sees_what_the_router_is_paused_for(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        await worker.pausing.set_paused("breaker")

        async with ordering(migrated_database, router="billing") as orders:
            cause = orders.pausing.paused()
            await orders.pausing.set_paused("")

        assert cause == "breaker"
        await eventually(lambda: worker.pausing.paused() == "")


async def test_ordered_replay_is_begun_by_one_worker_and_followed(migrated_database: str) -> None:
    async with (
        worker_in(migrated_database, instance="here") as here,
        worker_in(migrated_database, instance="there") as there,
        ordering(migrated_database, router="billing") as orders,
    ):
        await orders.replays.create(REPLAY)
        first = await orders.replays.progress("rp_1")
        begun = [list(await worker.replays.adopt()) for worker in (here, there)]
        await here.replays.save(replace(REPLAY, handed=3, at={0: 3}))

        assert (first, begun) == (REPLAY, [[REPLAY], []])
        assert await orders.replays.progress("rp_1") == replace(REPLAY, handed=3, at={0: 3})
        await here.replays.save(replace(REPLAY, state="done"))
        assert await orders.replays.progress("rp_1") == replace(REPLAY, state="done")
        assert await orders.replays.progress("unknown") is None


async def test_replay_cancelled_by_a_command_stays_cancelled(migrated_database: str) -> None:
    async with (
        worker_in(migrated_database) as worker,
        ordering(migrated_database, router="billing") as orders,
    ):
        await orders.replays.create(REPLAY)
        await worker.replays.adopt()

        cancelled = [await orders.replays.cancel(name) for name in ("rp_1", "rp_1", "unknown")]
        await worker.replays.save(replace(REPLAY, handed=5))

        assert cancelled == [True, False, False]
        assert list(await worker.replays.adopt()) == []
        assert await orders.replays.progress("rp_1") == replace(REPLAY, state="cancelled")
