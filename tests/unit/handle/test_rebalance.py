"""What a worker does when partitions come and go, on the real crew, window and parking."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from gateway.core.errors import Unavailable
from gateway.handle.crew import Crew
from gateway.handle.gates import gates_of
from gateway.handle.jobs import Job, JobEntry
from gateway.handle.lanes import Slot, Window
from gateway.handle.rebalance import Rebalance
from gateway.keep.ports import Pair, Parking, Position
from gateway.keep.sqlite.state import SqliteState
from tests.worker_rig import make_event, router_of, succeed

MINE, LEAVING = 1, 2


class Bench:
    """A crew whose jobs run until their event is set, and a rebalance around it."""

    def __init__(self, parking: Parking, *, patience: float = 30.0, concurrency: int = 1) -> None:
        router = router_of(succeed)
        self.handler = router.handlers[0]
        self.window = Window()
        self.ends: dict[int, asyncio.Event] = {}
        self.again: dict[int, float] = {}
        self.begun: list[int] = []
        self.finished: list[int] = []
        self.dropped: list[int] = []
        self.commits: list[dict[int, int]] = []
        self.crew = Crew(self._run, gates_of(router.handlers), concurrency=concurrency, finished=self._finish)
        self.rebalance = Rebalance(
            parking, self.crew, self.window, dropped=self._drop, commit=self._commit, patience=patience
        )

    def add(self, number: int, partition: int, *, key: str = "", parked: bool = False, replay: str = "") -> Slot | None:
        """Put one job into its lane, as the intake does."""
        position = Position(partition, number)
        slot = None if parked else self.window.offer(position, 10, 1)
        pair = Pair(handler="h", event=make_event(number, key=key or f"k{number}"), position=position, replay_id=replay)
        self.ends[number] = asyncio.Event()
        self.crew.add(Job(pair, self.handler, self._finish, fresh=not parked), slot)
        return slot

    async def until_begun(self, *numbers: int) -> None:
        self.crew.start_ready()
        await until(lambda: set(numbers) <= set(self.begun))

    async def _run(self, job: Job, released: Callable[[Job], None]) -> float | None:
        number = job.pair.position.offset
        self.begun.append(number)
        await self.ends[number].wait()
        released(job)
        return self.again.pop(number, None)

    def _finish(self, entry: JobEntry) -> None:
        self.finished.append(number_of(entry))
        if entry.slot is not None and self.window.finish(entry.slot):
            self._commit()

    def _drop(self, entry: JobEntry) -> None:
        self.dropped.append(number_of(entry))

    def _commit(self) -> None:
        taken = self.window.take_commits()
        if taken:
            self.commits.append(taken)


def number_of(entry: JobEntry) -> int:
    return entry.item.pair.position.offset


@asynccontextmanager
async def bench(**options: float) -> AsyncIterator[Bench]:
    state = SqliteState.in_memory("r")
    made = Bench(state.parking, **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.crew.drain(0.0, 5.0)
        await state.close()


async def test_what_waits_of_a_leaving_partition_is_dropped_and_the_rest_stays() -> None:
    async with bench() as made:
        made.add(1, MINE)
        made.add(2, MINE)
        made.add(3, LEAVING)
        made.add(4, LEAVING, parked=True)
        await made.until_begun(1)

        await made.rebalance.revoking([LEAVING])

        assert made.dropped == [3, 4]
        assert (made.crew.lanes.waiting, made.crew.lanes.started) == (1, 1)
        assert made.window.events == 2
        made.ends[1].set()
        await made.until_begun(2)


async def test_what_runs_may_end_and_is_committed_before_the_partition_goes() -> None:
    async with bench() as made:
        made.add(1, LEAVING)
        await made.until_begun(1)
        leaving = asyncio.create_task(made.rebalance.revoking([LEAVING]))
        await asyncio.sleep(0)
        assert not leaving.done()

        made.ends[1].set()
        await leaving

        assert made.commits == [{LEAVING: 1}]
        assert made.window.events == 0


async def test_what_outlives_the_patience_runs_on_and_commits_nothing() -> None:
    async with bench(patience=0.01) as made:
        made.add(1, LEAVING)
        await made.until_begun(1)

        await made.rebalance.revoking([LEAVING])
        made.ends[1].set()
        await until(lambda: made.finished == [1])

        assert made.commits == []
        made.window.offer(Position(LEAVING, 1), 10, 0)  # its next epoch may begin at the same offset


async def test_a_run_of_another_partition_is_not_waited_for() -> None:
    async with bench() as made:
        made.add(1, MINE)
        await made.until_begun(1)

        async with asyncio.timeout(5):
            await made.rebalance.revoking([LEAVING])

        assert made.crew.lanes.started == 1


async def test_a_job_between_two_inline_tries_is_not_tried_again_after_its_partition_left() -> None:
    async with bench() as made:
        made.add(1, LEAVING)
        made.again[1] = 30.0
        await made.until_begun(1)
        made.ends[1].set()
        await until(lambda: not made.crew._calling)

        await made.rebalance.revoking([LEAVING])
        made.add(2, MINE)
        made.crew.start_ready()
        made.ends[2].set()
        await until(lambda: made.finished == [2])

        assert made.begun == [1, 2]
        assert made.dropped == [1]
        assert made.crew.idle()


async def test_a_job_that_fails_while_its_partition_leaves_is_not_tried_again() -> None:
    async with bench() as made:
        made.add(1, LEAVING)
        made.again[1] = 0.0
        await made.until_begun(1)
        leaving = asyncio.create_task(made.rebalance.revoking([LEAVING]))
        await asyncio.sleep(0)

        made.ends[1].set()
        await leaving

        assert made.begun == [1]
        assert made.dropped == [1]
        assert made.crew.idle()


async def test_a_replay_stays_with_the_worker_that_runs_it() -> None:
    async with bench() as made:
        made.add(1, MINE)
        made.add(2, LEAVING, replay="r1")
        await made.until_begun(1)

        await made.rebalance.revoking([LEAVING])

        assert made.dropped == []
        assert made.crew.lanes.waiting == 1


async def test_nothing_is_admitted_while_a_partition_leaves() -> None:
    async with bench() as made:
        made.add(1, LEAVING)
        await made.until_begun(1)
        leaving = asyncio.create_task(made.rebalance.revoking([LEAVING]))
        await asyncio.sleep(0)

        assert made.rebalance.admitting.locked()
        made.ends[1].set()
        await leaving
        assert not made.rebalance.admitting.locked()


class CountingParking:
    """Parking that is away at first; notes what is taken and released."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, set[int]]] = []
        self.away = 1

    async def take(self, partitions: Collection[int]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("store_down")
        self.calls.append(("take", set(partitions)))

    def release(self, partitions: Collection[int]) -> None:
        self.calls.append(("release", set(partitions)))


async def test_what_is_parked_is_taken_before_reading_and_released_after_the_last_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.handle.durably.STORE_PAUSE", 0.0)
    parking = CountingParking()
    made = Bench(parking)  # type: ignore[arg-type]

    await made.rebalance.assigned([MINE, LEAVING])
    await made.rebalance.revoking([LEAVING])

    assert parking.calls == [("take", {MINE, LEAVING}), ("release", {LEAVING})]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0)
