"""What several workers of a router share through Postgres: replays, the pause, presence, positions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from gateway.keep.ports import Filter, Replay
from gateway.keep.postgres import blame
from tests.postgres_state_builders import Worker, eventually, pooled, worker_in
from tests.state_builders import make_key

LEASES_END = "update gateway.replay set owned_until_us = owned_until_us - 16000000"
ALL_LONG_GONE = "update gateway.worker set seen_us = seen_us - 21000000"
PRESENT = "select instance from gateway.worker order by instance"


def make_replay(id: str = "rp_1", **over: object) -> Replay:  # noqa: A002 - the replay's own word
    values = {"id": id, "handler": None, "where": Filter(source="stripe"), "mode": "missing", **over}
    return Replay(**{"new_keys": False, "rate": None, "upto": {0: 90}, **values})  # type: ignore[arg-type]


@asynccontextmanager
async def two_workers(database: str) -> AsyncIterator[tuple[Worker, Worker]]:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(worker_in(database, instance="here"))
        yield here, await stack.enter_async_context(worker_in(database, instance="there"))


async def adopted(worker: Worker) -> list[str]:
    return [replay.id for replay in await worker.replays.adopt()]


async def test_replay_is_run_by_one_worker_at_a_time(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.replays.save(make_replay())

        assert (await adopted(there), await adopted(here)) == ([], ["rp_1"])


async def test_replay_is_taken_over_when_nothing_was_heard_of_its_worker(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.replays.save(make_replay(at={0: 5}, handed=5))
        await here.execute(LEASES_END)

        assert list(await there.replays.adopt()) == [make_replay(at={0: 5}, handed=5)]
        assert await adopted(here) == []


async def test_replay_of_a_dead_worker_is_its_successors_from_the_start(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (dead, there):
        await dead.replays.save(make_replay())
        async with worker_in(migrated_database, instance="here") as successor:
            assert list(successor.replays.running()) == [make_replay()]
            assert (await adopted(dead), await adopted(there)) == ([], [])
            assert await adopted(successor) == ["rp_1"]


async def test_lease_outlives_no_clock_that_is_set_back(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.replays.save(make_replay())
        await here.execute("update gateway.replay set owned_until_us = owned_until_us + 3600000000")

        assert await adopted(there) == ["rp_1"]


async def test_lease_is_renewed_by_asking_and_by_progress(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.replays.save(make_replay())
        for renew in (here.replays.adopt, lambda: here.replays.save(make_replay(handed=1))):
            await here.execute(LEASES_END)
            await renew()
            assert await adopted(there) == []


async def test_former_owner_changes_nothing(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.replays.save(make_replay())
        await here.execute(LEASES_END)
        await there.replays.adopt()

        for late in (make_replay(at={0: 80}), make_replay(state="done")):
            await here.replays.save(late)

        assert list(await there.replays.adopt()) == [make_replay()]
        assert list(here.replays.running()) == []


async def test_replay_is_another_workers_at_once_after_an_end_in_order(migrated_database: str) -> None:
    async with worker_in(migrated_database, instance="here") as here:
        await here.replays.save(make_replay())

    async with worker_in(migrated_database, instance="there") as there:
        assert list(there.replays.running()) == [make_replay()]


async def test_thousand_finished_replays_are_remembered(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        await worker.execute(
            "insert into gateway.replay select 'billing', 'a' || lpad(n::text, 4, '0'), 'done', '' from"
            " generate_series(1, 1000) n"
        )
        await worker.replays.save(make_replay("b", state="running"))
        await worker.replays.save(make_replay("b", state="done"))

        [(count, oldest)] = await worker.execute("select count(*), min(id) from gateway.replay")

    assert (count, oldest) == (1000, "a0002")


async def test_pause_counts_at_once_here_and_soon_at_the_others(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        written = here.pausing.set_paused("breaker")
        at_once = here.pausing.paused()
        await written

        assert at_once == "breaker"
        await eventually(lambda: there.pausing.paused() == "breaker")
        await there.pausing.set_paused("")
        await eventually(lambda: here.pausing.paused() == "")


async def test_pause_set_while_the_others_word_is_asked_for_stays(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        asking = asyncio.ensure_future(worker.pausing.refresh())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        written = worker.pausing.set_paused("operator")
        await asking

        assert worker.pausing.paused() == "operator"
        await written


async def test_pauses_are_written_in_the_order_in_which_they_were_set(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, _):
        writes = [here.pausing.set_paused(cause) for cause in ("operator", "", "breaker", "operator", "")]
        for write in writes:
            await write
            assert here.pausing.paused() == ""

        assert await here.execute("select paused from gateway.router") == [("",)]


async def test_worker_that_starts_beside_others_that_live_is_not_careful(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        assert (here.blame.unclean(), there.blame.unclean()) == (False, False)
        assert await here.execute(PRESENT) == [("here",), ("there",)]


async def test_only_the_first_that_starts_after_a_machine_died_is_careful(migrated_database: str) -> None:
    async with worker_in(migrated_database, instance="lost") as lost:
        await lost.blame.started_alone(make_key())
        await lost.execute(ALL_LONG_GONE)
        async with two_workers(migrated_database) as (here, there):
            found = (here.blame.unclean(), there.blame.unclean(), here.blame.crashes(make_key()))
            present = await here.execute(PRESENT)

    assert (found, present) == ((True, False, 1), [("here",), ("there",)])


async def test_note_of_a_worker_that_lives_is_not_counted(migrated_database: str) -> None:
    async with worker_in(migrated_database, instance="here") as here:
        await here.blame.started_alone(make_key())
        async with worker_in(migrated_database, instance="there") as there:
            assert there.blame.crashes(make_key()) == 0


async def test_worker_that_was_thought_dead_is_present_again(migrated_database: str) -> None:
    async with worker_in(migrated_database, instance="here") as here:
        await here.execute("delete from gateway.worker")
        here.blame._beat_at = 0.0

        async def present() -> bool:
            return await here.execute(PRESENT) == [("here",)]

        await eventually(present)


async def test_presence_is_renewed_again_and_again(migrated_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame, "BEAT_SECONDS", 0.5)
    async with worker_in(migrated_database, instance="here") as here:
        await here.execute("update gateway.worker set seen_us = 0")

        async def seen() -> bool:
            return await here.execute("select 1 from gateway.worker where seen_us > 0") == [(1,)]

        await eventually(seen)


async def test_worker_that_ended_cleanly_does_not_come_back(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        await here.blame.clean_exit()
        here.blame._beat_at = 0.0

        await here.blame.beat()

        assert await there.execute(PRESENT) == [("there",)]


async def test_copies_of_positions_never_go_backward(migrated_database: str) -> None:
    async with two_workers(migrated_database) as (here, there):
        here.places.save({1: 10, 2: 5})
        here.places.save({1: 7})
        await here.places.flush()
        there.places.save({1: 9, 2: 6})
        await there.places.flush()

        assert await here.places.load() == {0: -1, 1: 10, 2: 6}


async def test_copies_of_positions_are_written_soon_and_in_the_end(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker, pooled(migrated_database) as pool:
        outside = replace(worker, pool=pool)
        worker.places.save({0: 3})

        async def written() -> bool:
            return await outside.execute('select "offset" from gateway.cursor') == [(3,)]

        await eventually(written)
        worker.places.save({0: 4})
        await worker.state.close()
        assert await outside.execute('select "offset" from gateway.cursor') == [(4,)]
