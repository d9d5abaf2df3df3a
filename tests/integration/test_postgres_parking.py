import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from gateway.keep.pairs import mark_key
from gateway.keep.ports import DeadFilter, Filter, MarkKey, Pair, Position
from tests.postgres_state_builders import Worker, eventually, worker_in
from tests.state_builders import make_event, make_pair

FAR_US = 10**18
ONLY_HELD = "select handler, key from gateway.parked group by partition, handler, key having count(due_us) = 0"


def pair_of(partition: int, offset: int = 1, *, key: str = "cus_1") -> Pair:
    return replace(make_pair(event=make_event(key=key)), position=Position(partition, offset))


@asynccontextmanager
async def two_workers(database: str, first: tuple[int, ...], second: tuple[int, ...]) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(worker_in(database, instance=name, partitions=partitions))
            for name, partitions in (("here", first), ("there", second))
        ]


async def due_places(worker: Worker, now_us: int = FAR_US) -> list[tuple[int, int]]:
    return [(pair.position.partition, pair.position.offset) for pair in await worker.parking.due(now_us, 100)]


async def test_nothing_is_known_or_handed_out_before_a_partition_is_taken(migrated_database: str) -> None:
    async with worker_in(migrated_database, partitions=()) as worker:
        await worker.parking.park(pair_of(0), due_us=0, error="")
        before = (worker.parking.parked(), worker.parking.holds("record", "cus_1"), await due_places(worker))

        await worker.parking.take([0])

        assert before == (0, 0, [])
        assert (worker.parking.parked(), worker.parking.holds("record", "cus_1")) == (1, 1)
        assert await due_places(worker) == [(0, 1)]


async def test_worker_hands_out_the_pairs_of_its_own_partitions_alone(migrated_database: str) -> None:
    async with two_workers(migrated_database, (1, 2), (3,)) as (here, there):
        for partition in (1, 2, 3):
            await here.parking.park(pair_of(partition), due_us=partition, error="")

        assert await due_places(here) == [(1, 1), (2, 1)]
        await eventually(lambda: there.parking.parked() == 1)
        assert await due_places(there) == [(3, 1)]
        assert (here.parking.parked(), there.parking.parked()) == (2, 1)


async def test_partition_takes_its_pairs_to_the_next_owner(migrated_database: str) -> None:
    async with two_workers(migrated_database, (0,), ()) as (old, new):
        await old.parking.park(pair_of(0), due_us=0, error="")
        await old.parking.bury(pair_of(0, 2), reason="gave_up", error="", trace="")
        handed = await due_places(old)

        old.parking.release([0])
        await new.parking.take([0])

        assert handed == [(0, 1)]
        assert (old.parking.parked(), old.parking.dead(), old.parking.holds("record", "cus_1")) == (0, 0, 0)
        assert (new.parking.parked(), new.parking.dead(), new.parking.holds("record", "cus_1")) == (1, 1, 1)
        assert (await due_places(old), await due_places(new)) == ([], [(0, 1)])


async def test_partition_that_comes_back_hands_out_its_pairs_anew(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        await worker.parking.park(pair_of(0), due_us=0, error="")
        first = await due_places(worker)
        worker.parking.release([0])
        await worker.parking.take([0])

        assert (first, await due_places(worker)) == ([(0, 1)], [(0, 1)])


async def test_answer_that_comes_after_the_partition_left_is_not_handed_out(migrated_database: str) -> None:
    async with worker_in(migrated_database, partitions=(0, 1)) as worker:
        for partition in (0, 1):
            await worker.parking.park(pair_of(partition), due_us=0, error="")
        asked = asyncio.ensure_future(due_places(worker))
        await asyncio.sleep(0)

        worker.parking.release([0])

        assert await asked == [(1, 1)]


async def test_held_pair_waits_for_no_row_of_another_partition(migrated_database: str) -> None:
    async with worker_in(migrated_database, partitions=(0, 1)) as worker:
        await worker.parking.park(pair_of(0), due_us=FAR_US, error="")
        await worker.parking.hold(pair_of(1))

        assert await due_places(worker, now_us=0) == [(1, 1)]


async def test_what_a_replay_of_another_worker_parks_is_learnt(migrated_database: str) -> None:
    async with two_workers(migrated_database, (0,), (1,)) as (here, there):
        pair = pair_of(0)
        await there.parking.park(pair, due_us=0, error="")
        await eventually(lambda: here.parking.holds("record", "cus_1") == 1)
        due = await due_places(here)

        await there.parking.bury(pair, reason="gave_up", error="", trace="")

        assert due == [(0, 1)]
        await eventually(lambda: (here.parking.parked(), here.parking.dead()) == (0, 1))


async def test_dead_letters_that_another_sends_back_run_here(migrated_database: str) -> None:
    async with two_workers(migrated_database, (0,), ()) as (here, command):
        pair = pair_of(0)
        await here.parking.bury(pair, reason="crashed", error="", trace="")
        await here.blame.crashed(MarkKey("record", pair.event.dedupe_key))

        assert await command.parking.retry_dead(DeadFilter()) == 1

        await eventually(lambda: (here.parking.parked(), here.parking.dead()) == (1, 0))
        assert await due_places(here) == [(0, 1)]
        await eventually(lambda: here.blame.crashes(MarkKey("record", pair.event.dedupe_key)) == 0)


async def test_what_was_done_elsewhere_before_it_was_buried_is_not_run_again(migrated_database: str) -> None:
    async with two_workers(migrated_database, (), (0,)) as (late, owner):
        pair = pair_of(0)
        await owner.store.mark(mark_key(pair), "done", version=None, attempt=1)
        await late.parking.bury(pair, reason="gave_up", error="", trace="")

        count = await owner.parking.retry_dead(DeadFilter())

        assert count == 1
        assert await owner.store.marked([mark_key(pair)]) == {mark_key(pair): "done"}


async def test_lane_is_never_left_with_held_pairs_alone(migrated_database: str) -> None:
    """A worker that was replaced settles the head of each lane at the moment that its successor holds the next."""
    async with two_workers(migrated_database, (0,), (0,)) as (old, new):
        for turn in range(20):
            lanes = [f"cus_{number}" for number in range(20)]
            heads = [pair_of(0, 2 * turn, key=key) for key in lanes]
            await asyncio.gather(*(old.parking.park(head, due_us=FAR_US, error="") for head in heads))

            await asyncio.gather(
                *(old.parking.settle(head) for head in heads),
                *(new.parking.hold(pair_of(0, 2 * turn + 1, key=key)) for key in lanes),
            )

            assert await new.execute(ONLY_HELD) == []
            await new.execute("delete from gateway.parked")


async def test_settling_and_holding_in_one_lane_see_each_other_however_they_meet(migrated_database: str) -> None:
    head, next_one = pair_of(0, 1), pair_of(0, 2)
    async with two_workers(migrated_database, (0,), (0,)) as (old, new):
        await old.parking.park(head, due_us=FAR_US, error="")
        async with old.pool.connection() as third, third.transaction():
            await third.execute("update gateway.revision set revision = revision")
            both = asyncio.gather(old.parking.settle(head), new.parking.hold(next_one))
            await eventually(lambda: _waiting(new, 2))
        await both

        assert await due_places(new, now_us=0) == [(0, 2)]


async def _waiting(worker: Worker, most: int) -> bool:
    """Return whether so many wait for a lock of another's."""
    return await worker.execute("select 1 from pg_locks where not granted") == [(1,)] * most


async def test_pair_that_was_written_without_our_knowing_is_counted_when_it_is_written_again(
    migrated_database: str,
) -> None:
    """As when the answer of the first write was lost: `holds` is asked right after the second."""
    pair = pair_of(0)
    async with two_workers(migrated_database, (0,), (0,)) as (unknowing, writer):
        await writer.parking.park(pair, due_us=FAR_US, error="")

        await unknowing.parking.park(pair, due_us=FAR_US, error="")

        assert unknowing.parking.holds("record", "cus_1") == 1


async def test_two_that_change_the_same_pairs_at_once_both_finish(migrated_database: str) -> None:
    async with two_workers(migrated_database, (0, 1), (0, 1)) as (old, new):
        pairs = [pair_of(offset % 2, offset, key=f"cus_{offset % 7}") for offset in range(100)]

        await asyncio.gather(
            *(old.parking.park(pair, due_us=FAR_US, error="") for pair in pairs),
            *(new.parking.hold(pair) for pair in reversed(pairs)),
            *(new.parking.settle(pair) for pair in pairs[::3]),
            *(old.parking.bury(pair, reason="attempts", error="", trace="") for pair in pairs[1::3]),
            new.parking.retry_dead(DeadFilter()),
            old.parking.purge_dead(DeadFilter()),
        )

        assert await new.execute(ONLY_HELD) == []
        for worker in (old, new):
            await eventually(partial(_counts_all, worker))


async def _counts_all(worker: Worker) -> bool:
    """Return whether what the worker counts is what there is."""
    lanes = await worker.execute("select handler, key, count(*) from gateway.parked group by handler, key")
    [(parked, dead)] = await worker.execute(
        "select (select count(*) from gateway.parked), (select count(*) from gateway.dead)"
    )
    held = all(worker.parking.holds(str(handler), str(key)) == rows for handler, key, rows in lanes)
    return held and (worker.parking.parked(), worker.parking.dead()) == (parked, dead)


async def test_pairs_of_a_source_that_was_removed_wait_and_are_counted_by_nobody(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        await worker.parking.park(pair_of(99), due_us=0, error="")
        await worker.parking.bury(pair_of(98), reason="gave_up", error="", trace="")

        assert (await due_places(worker), worker.parking.parked(), worker.parking.dead()) == ([], 0, 0)
        assert len(await worker.parking.dead_letters(DeadFilter(), limit=10)) == 1


async def test_another_router_has_pairs_of_its_own(migrated_database: str) -> None:
    pair = pair_of(0)
    async with worker_in(migrated_database) as here, worker_in(migrated_database, router="shipping") as there:
        await here.parking.park(pair, due_us=0, error="")
        await there.parking.bury(pair, reason="gave_up", error="", trace="")
        await there.parking.purge_dead(DeadFilter())

        assert (here.parking.parked(), there.parking.parked()) == (1, 0)
        assert (await due_places(here), await due_places(there)) == ([(0, 1)], [])
        assert list(await there.parking.taken([MarkKey("record", pair.event.dedupe_key)])) == []


@pytest.mark.parametrize("odd", ["nul \0", "half a pair \ud800", "both \0\udfff\u00e9"], ids=["nul", "half", "both"])
async def test_text_that_postgres_cannot_hold_survives_in_the_event(migrated_database: str, odd: str) -> None:
    event = make_event(id=odd, key=odd, type=odd, headers={"x-odd": odd})
    pair = make_pair(event=event)
    async with worker_in(migrated_database) as worker:
        await worker.parking.park(pair, due_us=FAR_US, error=odd)
        await worker.parking.hold(make_pair(offset=2, event=make_event(key=odd)))
        held = worker.parking.holds("record", odd)
        [given] = await worker.parking.due(FAR_US, 10)
        await worker.parking.bury(given, reason="gave_up", error=odd, trace=odd)
        [second] = await worker.parking.due(FAR_US, 10)

        found = await worker.parking.dead_letters(DeadFilter(events=Filter(id=odd, key=odd, type=odd)), limit=10)

    assert (held, given.event, second.position.offset) == (2, event, 2)
    assert [letter.pair.event for letter in found] == [event]


async def test_longest_texts_fit(migrated_database: str) -> None:
    longest = "\U0001f30a" * 255
    pair = make_pair(handler="h" * 63, event=make_event(id=longest, key=longest, type=longest), replay="r" * 63)
    async with worker_in(migrated_database, router="r" * 63) as worker:
        await worker.parking.park(pair, due_us=0, error=longest)
        [given] = await worker.parking.due(0, 10)
        await worker.parking.bury(given, reason="gave_up", error=longest, trace=longest)

        assert worker.parking.dead() == 1


async def test_huge_bodies_come_back_exact(migrated_database: str) -> None:
    bodies = [bytes([number]) * (25 * 2**20 + number) for number in range(2)]
    pairs = [make_pair(offset=number, event=make_event(body=body)) for number, body in enumerate(bodies)]
    async with worker_in(migrated_database) as worker:
        await asyncio.gather(*(worker.parking.park(pair, due_us=0, error="") for pair in pairs))

        given = await worker.parking.due(0, 10)

    assert [pair.event.body for pair in given] == bodies


async def test_pair_that_cannot_be_written_costs_only_itself(migrated_database: str) -> None:
    async with worker_in(migrated_database) as worker:
        wrong = pair_of(0, 2**63)

        outcomes = await asyncio.gather(
            worker.parking.park(pair_of(0, 1), due_us=0, error=""),
            worker.parking.park(wrong, due_us=0, error=""),
            worker.parking.park(pair_of(0, 3), due_us=0, error=""),
            return_exceptions=True,
        )

        assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
        assert await due_places(worker) == [(0, 1), (0, 3)]
        assert worker.parking.holds("record", "cus_1") == 2


async def test_of_several_changes_of_one_pair_the_last_counts(migrated_database: str) -> None:
    pair = pair_of(0)
    async with worker_in(migrated_database) as worker:
        await asyncio.gather(
            worker.parking.park(pair, due_us=0, error=""),
            worker.parking.bury(pair, reason="gave_up", error="", trace=""),
            worker.parking.settle(pair),
            worker.parking.park(pair, due_us=7, error=""),
        )

        assert (worker.parking.parked(), worker.parking.dead()) == (1, 0)
        assert (await due_places(worker, 6), await due_places(worker, 7)) == ([], [(0, 1)])


async def test_row_of_a_newer_gateway_stays_and_others_are_handed_out(
    migrated_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker_in(migrated_database) as worker:
        for offset in (1, 2):
            await worker.parking.park(pair_of(0, offset), due_us=0, error="")
        await worker.execute("""update gateway.parked set head = '{"v": 99}' where "offset" = 1""")

        assert await due_places(worker) == [(0, 2)]
        assert await due_places(worker) == []
        assert worker.parking.parked() == 2
    assert [record.message for record in caplog.records] == ["parking.unreadable"]


async def test_a_worker_that_takes_partitions_knows_what_killed_others(migrated_database: str) -> None:
    pair = pair_of(0)
    async with two_workers(migrated_database, (0,), ()) as (dead, heir):
        for _ in range(3):
            await dead.state.blame.crashed(mark_key(pair))
        before = heir.state.blame.crashes(mark_key(pair))

        await heir.parking.take([0])

        assert (before, heir.state.blame.crashes(mark_key(pair))) == (0, 3)


async def test_only_the_lanes_of_strict_handlers_are_known_and_all_rows_counted(migrated_database: str) -> None:
    strict = replace(pair_of(0, 3), handler="strict")
    async with worker_in(migrated_database, partitions=()) as before:
        await before.parking.park(pair_of(0, 1), due_us=FAR_US, error="")
        await before.parking.park(strict, due_us=FAR_US, error="")

        async with worker_in(migrated_database, instance="there", strict=("strict",)) as worker:
            assert (worker.parking.holds("strict", "cus_1"), worker.parking.holds("record", "cus_1")) == (1, 0)
            assert worker.parking.parked() == 2
            await worker.parking.hold(replace(pair_of(0, 4), handler="strict"))
            assert worker.parking.holds("strict", "cus_1") == 2
            await before.parking.park(pair_of(0, 5, key="cus_2"), due_us=FAR_US, error="")
            await eventually(lambda: worker.parking.parked() == 4)


async def test_pairs_of_relaxed_handlers_are_handed_out_though_their_lanes_are_not_known(
    migrated_database: str,
) -> None:
    async with worker_in(migrated_database, strict=()) as worker:
        await worker.parking.park(pair_of(0), due_us=0, error="")

        (pair,) = await worker.parking.due(FAR_US, 10)
        await worker.parking.settle(pair)

        assert worker.parking.parked() == 0
