"""Following a replay that workers elsewhere run, in a real Postgres."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.errors import Unavailable
from gateway.keep.ports import Filter, Replay
from gateway.keep.postgres import state_reader
from gateway.keep.postgres.connection import Pool, connect, open_pool
from gateway.keep.postgres.offline import ordering
from gateway.keep.postgres.questions import Connection
from gateway.keep.postgres.registration import register
from gateway.keep.postgres.state import PostgresState
from gateway.wiring.cluster_commands import followed
from tests.postgres_state_builders import begin_at
from tests.state_builders import NOW_US

ORDERED = Replay(
    id="r1", handler=None, where=Filter(), mode="missing", new_keys=False, rate=None, upto={1: 9}, total=10
)


@pytest.fixture
async def pool(migrated_database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(migrated_database, name="test", most=3)
    await register(pool, "billing", begin_at({}), NOW_US)
    yield pool
    await pool.close()


@pytest.fixture
async def connection(pool: Pool, migrated_database: str) -> AsyncIterator[Connection]:
    async with ordering(migrated_database, router="billing") as orders:
        await orders.replays.create(ORDERED)
    with connect(migrated_database, name="test") as opened:
        yield opened


async def a_worker(pool: Pool) -> PostgresState:
    return await PostgresState.open(pool, router="billing", instance="here", now_us=lambda: NOW_US)


async def test_a_replay_is_followed_to_its_end(pool: Pool, connection: Connection) -> None:
    worker = await a_worker(pool)
    answers = followed(connection, "billing", ORDERED)

    began = next(answers)
    await worker.replays.save(replace(ORDERED, handed=4, at={1: 3}))
    went_on = next(answers)
    await worker.replays.save(replace(ORDERED, handed=10, state="done"))
    (ended,) = answers
    await worker.close()

    assert began == ("progress", {"id": "r1", "state": "running", "handed": 0, "total": 10})
    assert went_on == ("progress", {"id": "r1", "state": "running", "handed": 4, "total": 10})
    assert ended == ("result", {"id": "r1", "state": "done", "handed": 10, "total": 10})


async def test_a_replay_without_a_worker_waits(pool: Pool, connection: Connection) -> None:
    assert list(followed(connection, "billing", ORDERED)) == [
        ("result", {"id": "r1", "state": "waiting", "handed": 0, "total": 10})
    ]


async def test_a_replay_whose_worker_ends_waits_for_the_next_one(pool: Pool, connection: Connection) -> None:
    worker = await a_worker(pool)
    answers = followed(connection, "billing", ORDERED)
    assert next(answers)[0] == "progress"

    await worker.replays.save(replace(ORDERED, handed=4))
    await worker.blame.clean_exit()
    await worker.close()

    assert list(answers) == [("result", {"id": "r1", "state": "waiting", "handed": 4, "total": 10})]


async def test_a_cancelled_replay_says_so(pool: Pool, connection: Connection, migrated_database: str) -> None:
    async with ordering(migrated_database, router="billing") as orders:
        assert await orders.replays.cancel("r1")

    assert list(followed(connection, "billing", ORDERED)) == [
        ("result", {"id": "r1", "state": "cancelled", "handed": 0, "total": 10})
    ]


async def test_a_router_runs_where_a_worker_was_seen_lately(pool: Pool, connection: Connection) -> None:
    before = state_reader.summary(connection, "billing")
    worker = await a_worker(pool)
    meanwhile = state_reader.summary(connection, "billing")
    await worker.close()  # as if killed: it did not say that it leaves
    connection.execute("update gateway.worker set seen_us = seen_us - 16000000")
    after = state_reader.summary(connection, "billing")

    assert [summary.running for summary in (before, meanwhile, after)] == [False, True, False]


async def test_a_router_that_was_never_registered_has_no_numbers(connection: Connection) -> None:
    assert state_reader.summary(connection, "nobody") == state_reader.StateSummary()
    assert state_reader.routers(connection) == ["billing"]


async def test_a_replay_that_is_done_says_how_many_it_handed_out(pool: Pool, connection: Connection) -> None:
    worker = await a_worker(pool)
    await worker.replays.save(replace(ORDERED, handed=12, state="done"))
    answers = list(followed(connection, "billing", ORDERED))
    await worker.close()

    assert answers == [("result", {"id": "r1", "state": "done", "handed": 12, "total": 10})]


async def test_gaps_of_a_router_outlive_its_worker_and_count_once(pool: Pool, connection: Connection) -> None:
    worker = await a_worker(pool)
    for events in (3, 5):
        worker.places.note_gap(7, 10, events)
        await worker.places.flush()
    worker.places.note_gap(8, 0, 2)
    await worker.places.flush()
    await worker.close()

    assert state_reader.summary(connection, "billing").gap == 7
    assert state_reader.gaps(connection, "billing") == {7: 15, 8: 2}


async def test_a_gap_that_cannot_be_written_is_kept_for_later(pool: Pool, connection: Connection) -> None:
    worker = await a_worker(pool)
    worker.places.note_gap(7, 10, 3)
    patience, worker.places._asker.seconds = worker.places._asker.seconds, 0.0
    with pytest.raises(Unavailable):
        await worker.places.flush()
    worker.places._asker.seconds = patience
    await worker.places.flush()
    await worker.close()

    assert state_reader.summary(connection, "billing").gap == 3
