"""A router's state while its server is away: everything is refused in time, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.ports import DeadFilter, Filter, Replay
from gateway.keep.postgres.offline import ordering
from gateway.keep.postgres.state import PostgresState
from tests.postgres_rig import PASSWORD, PostgresServer
from tests.postgres_state_builders import Worker, eventually, pooled, worker_in
from tests.state_builders import NOW_US, make_key, make_pair

SOON = 2.0
REPLAY = Replay(id="rp_1", handler=None, where=Filter(), mode="missing", new_keys=False, rate=None, upto={0: 9})


@pytest.fixture
async def worker(migrated_database: str) -> AsyncIterator[Worker]:
    async with worker_in(migrated_database, seconds=SOON) as worker:
        yield worker


def questions(worker: Worker) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return everything that is asked of the state, by name."""
    parking, blame = worker.parking, worker.blame
    parked, held, settled, dead = (make_pair(offset=offset) for offset in range(7, 11))
    return {
        "park": lambda: parking.park(parked, due_us=0, error=""),
        "hold": lambda: parking.hold(held),
        "settle": lambda: parking.settle(settled),
        "bury": lambda: parking.bury(dead, reason="gave_up", error="", trace=""),
        "due": lambda: parking.due(NOW_US, 10),
        "taken": lambda: parking.taken([make_key()]),
        "take": lambda: parking.take([5]),
        "dead_letters": lambda: parking.dead_letters(DeadFilter(), limit=1),
        "retry_dead": lambda: parking.retry_dead(DeadFilter(handler="nobody")),
        "purge_dead": lambda: parking.purge_dead(DeadFilter(handler="nobody")),
        "save": lambda: worker.replays.save(REPLAY),
        "adopt": worker.replays.adopt,
        "set_paused": lambda: worker.pausing.set_paused("operator"),
        "started_alone": lambda: blame.started_alone(make_key()),
        "crashed": lambda: blame.crashed(make_key()),
        "load": worker.places.load,
    }


async def durably(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is answered."""

    async def answered() -> bool:
        try:
            await ask()
        except Unavailable:
            return False
        return True

    await eventually(answered)


async def test_start_without_a_server_says_so_without_its_password() -> None:
    async with pooled(f"postgresql://gateway:{PASSWORD}@127.0.0.1:1/nothing") as pool:
        with pytest.raises(DependencyError, match="cannot reach Postgres") as refused:
            await PostgresState.open(pool, router="billing", instance="here", now_us=lambda: NOW_US, seconds=SOON)

    assert PASSWORD not in str(refused.value)


async def test_everything_is_refused_while_the_server_is_frozen_and_works_afterwards(
    worker: Worker, postgres: PostgresServer
) -> None:
    await worker.parking.park(make_pair(), due_us=0, error="")
    asked = questions(worker)
    postgres.freeze()
    async with asyncio.timeout(60):
        refused = await asyncio.gather(*(ask() for ask in asked.values()), return_exceptions=True)
    postgres.thaw()

    assert {name: repr(found) for name, found in zip(asked, refused, strict=True)} == dict.fromkeys(
        asked, "Unavailable('store_down')"
    )
    for ask in asked.values():
        await durably(ask)
    assert worker.parking.holds("record", "cus_1") == 3
    await eventually(lambda: (worker.parking.parked(), worker.parking.dead()) == (3, 1))
    assert await worker.execute("select count(*) from gateway.parked union all select count(*) from gateway.dead") == [
        (3,),
        (1,),
    ]


async def test_state_goes_on_after_the_server_crashed_and_came_back(worker: Worker, postgres: PostgresServer) -> None:
    await worker.parking.park(make_pair(), due_us=0, error="")
    postgres.kill()
    with pytest.raises(Unavailable, match="store_down"):
        await worker.parking.park(make_pair(offset=2), due_us=0, error="")
    postgres.start()

    await durably(lambda: worker.parking.park(make_pair(offset=2), due_us=0, error=""))

    due = await worker.parking.due(0, 10)
    assert [pair.position.offset for pair in due] == [1, 2]
    assert worker.parking.parked() == 2


async def test_writes_that_wait_behind_a_lost_connection_fail_together_and_succeed_anew(worker: Worker) -> None:
    async with worker.pool.connection() as third, third.transaction():
        await third.execute("insert into gateway.revision values ('billing', 0, 0)")
        first = worker.parking.park(make_pair(), due_us=0, error="")

        async def waits() -> bool:
            return bool(await worker.execute("select 1 from pg_locks where not granted"))

        await eventually(waits)
        second = worker.parking.park(make_pair(offset=2), due_us=0, error="")
        await worker.execute(
            "select pg_terminate_backend(pid) from pg_locks where not granted and pid <> pg_backend_pid()"
        )
        await asyncio.wait({first})
        assert second.done()
        outcomes = await asyncio.gather(first, second, return_exceptions=True)

    assert [repr(outcome) for outcome in outcomes] == ["Unavailable('store_down')"] * 2
    assert (worker.parking.parked(), worker.parking.holds("record", "cus_1")) == (0, 0)
    await durably(lambda: worker.parking.park(make_pair(), due_us=0, error=""))
    assert worker.parking.parked() == 1


async def test_pause_that_could_not_be_written_is_kept_and_written_later(
    worker: Worker, postgres: PostgresServer
) -> None:
    postgres.kill()
    with pytest.raises(Unavailable):
        await worker.pausing.set_paused("breaker")
    postgres.start()

    async def written() -> bool:
        return await worker.execute("select paused from gateway.router") == [("breaker",)]

    await eventually(written)
    assert worker.pausing.paused() == "breaker"


async def test_positions_that_could_not_be_written_are_written_later(worker: Worker, postgres: PostgresServer) -> None:
    postgres.kill()
    worker.places.save({0: 5})
    with pytest.raises(Unavailable):
        await worker.places.flush()
    worker.places.save({1: 6})
    postgres.start()

    await durably(worker.places.flush)

    assert await worker.places.load() == {0: 5, 1: 6}


async def test_command_whose_server_goes_away_says_so(migrated_database: str, postgres: PostgresServer) -> None:
    async def command() -> None:
        async with ordering(migrated_database, router="billing", seconds=SOON) as orders:
            postgres.kill()
            await orders.parking.retry_dead(DeadFilter())

    async with worker_in(migrated_database, seconds=SOON):
        with pytest.raises(DependencyError, match="cannot reach Postgres"):
            await command()


async def test_state_closes_in_time_beside_a_frozen_server(worker: Worker, postgres: PostgresServer) -> None:
    parked = worker.parking.park(make_pair(), due_us=0, error="")
    postgres.freeze()

    async with asyncio.timeout(60):
        await worker.state.close()

    assert parked.done()
