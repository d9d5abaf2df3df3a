"""Crash blame in a worker: what runs alone after an unclean end, and until when."""

import asyncio
from asyncio import Future
from collections.abc import Mapping, Sequence

from gateway.api import Backoff, Context, Event, Retry
from gateway.keep.ports import MarkKey, Pair, Stored
from gateway.keep.sqlite.subscription import SqliteSubscription
from tests.worker_rig import FakeClock, Rig, make_event, router_of, succeed, working


class UncleanBlame:
    """Blame as a worker finds it that follows a dead one."""

    def __init__(self, crashes: dict[bytes, int] | None = None) -> None:
        self.counts = crashes or {}
        self.alone: list[bytes] = []
        self.together = False
        self.ended = False

    def unclean(self) -> bool:
        return True

    def clean_exit(self) -> "Future[None]":
        self.ended = True
        return _done()

    def started_alone(self, key: MarkKey) -> "Future[None]":
        self.alone.append(key.dedupe_key)
        return _done()

    def finished_alone(self, key: MarkKey) -> None:
        pass

    def crashed(self, key: MarkKey) -> "Future[int]":
        raise AssertionError("a crash while alone is counted by its note")

    def crashes(self, key: MarkKey) -> int:
        return self.counts.get(key.dedupe_key, 0)


def _done() -> "Future[None]":
    future: Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


async def test_after_an_unclean_end_pairs_run_alone_until_the_old_window_is_through() -> None:
    running = most_alone = most_later = 0
    events = [make_event(number) for number in range(10)]
    later = [make_event(number) for number in range(10, 20)]
    blame = UncleanBlame()

    async def handle(event: Event, ctx: Context) -> None:
        nonlocal running, most_alone, most_later
        running += 1
        if int(event.id[4:]) < 10:
            most_alone = max(most_alone, running)
        else:
            most_later = max(most_later, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1

    rig = Rig(router_of(handle), blame=blame)
    rig.put(*events)
    rig.start()
    await rig.until_committed()
    await rig.until(lambda: not rig.worker._caution.active)
    rig.put(*later)
    await rig.until_committed()
    await rig.stop()
    await rig.state.close()

    assert most_alone == 1
    assert most_later > 1
    assert blame.alone == [event.dedupe_key for event in events]
    assert blame.ended


async def test_a_pair_that_crashed_three_times_alone_is_a_dead_letter_and_its_neighbour_runs() -> None:
    culprit, neighbour = make_event(1), make_event(2)
    seen: list[str] = []

    async def handle(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    blame = UncleanBlame({culprit.dedupe_key: 3, neighbour.dedupe_key: 2})
    async with working(router_of(handle), blame=blame) as rig:
        rig.put(culprit, neighbour)
        await rig.until_committed()
        [letter] = await rig.dead()

    assert seen == ["evt_2"]
    assert (letter.pair.event.id, letter.reason) == ("evt_1", "crashed")
    assert rig.meter.runs["h", "crashed"] == 1


class CleanBlame(UncleanBlame):
    """Blame as a worker finds it whose neighbours died, and it did not."""

    def unclean(self) -> bool:
        return False


async def test_a_worker_that_follows_none_does_not_run_what_killed_others_three_times() -> None:
    culprit, suspect = make_event(1), make_event(2)
    seen: list[str] = []

    async def handle(event: Event, ctx: Context) -> None:
        seen.append(event.id)

    blame = CleanBlame({culprit.dedupe_key: 3, suspect.dedupe_key: 2})
    async with working(router_of(handle), blame=blame) as rig:
        rig.put(culprit, suspect)
        await rig.until_committed()
        [letter] = await rig.dead()

    assert seen == ["evt_2"]
    assert (letter.pair.event.id, letter.reason) == ("evt_1", "crashed")
    assert not blame.alone


async def test_what_was_parked_runs_though_old_crashes_are_remembered() -> None:
    event, tries = make_event(1), 0
    blame = CleanBlame()

    async def handle(event: Event, ctx: Context) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Retry(after=30.0)

    async with working(router_of(handle, retry=Backoff()), blame=blame) as rig:
        rig.put(event)
        await rig.until(rig.state.parking.parked)
        blame.counts[event.dedupe_key] = 3
        rig.clock.forward(31.0)
        await rig.until(lambda: tries == 2)


class LateSubscription:
    """A subscription whose partition comes when told; `fetched` counts reads of nothing, `asked` the others."""

    def __init__(self, inner: SqliteSubscription) -> None:
        self.placed = asyncio.Event()
        self.fetched = self.asked = 0
        self._committed, self._fetch = inner.committed, inner.fetch
        inner.committed = self.committed  # type: ignore[method-assign]
        inner.fetch = self.fetch  # type: ignore[method-assign]

    def committed(self) -> Mapping[int, int]:
        return {0: 0, **self._committed()} if self.placed.is_set() else {}

    async def fetch(self, *, max_events: int, max_bytes: int) -> Sequence[Stored]:
        self.asked += 1
        found = await self._fetch(max_events=max_events, max_bytes=max_bytes) if self.placed.is_set() else ()
        self.fetched += not found
        await asyncio.sleep(0)
        return found


async def test_pairs_of_a_partition_that_comes_late_run_alone_after_an_unclean_end() -> None:
    blame = UncleanBlame()
    rig = Rig(router_of(succeed), blame=blame)
    late = LateSubscription(rig.subscription)
    rig.put(make_event(1))
    rig.start()
    await rig.until(lambda: late.fetched > 3)
    late.placed.set()
    await rig.until_committed()
    await rig.stop()
    await rig.state.close()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_what_a_partition_that_leaves_left_unread_is_read_with_care_when_it_comes_back() -> None:
    blame = UncleanBlame()
    rig = Rig(router_of(succeed), blame=blame)
    late = LateSubscription(rig.subscription)
    late.placed.set()
    rig.start()
    await rig.until(lambda: late.asked)
    late.placed.clear()
    await rig.worker._rebalance.revoking({0})
    await rig.until(lambda: late.fetched > 3)
    rig.put(make_event(1))
    late.placed.set()
    await rig.until_committed()
    await rig.until(lambda: not rig.worker._caution.active)
    await rig.stop()
    await rig.state.close()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_parked_pairs_of_a_partition_that_comes_late_run_alone_too() -> None:
    clock = FakeClock()
    placed = looked = False

    async def later(event: Event, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise Retry(after=60)

    router = router_of(later, retry=Backoff())
    async with working(router, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.stop()
        clock.forward(61)
        blame = UncleanBlame()
        second = Rig(router, log=rig.log, state=rig.state, clock=clock, blame=blame)
        committed, due = second.subscription.committed, second.state.parking.due

        async def due_of_ours(now_us: int, limit: int) -> Sequence[Pair]:
            nonlocal looked
            looked = True
            return await due(now_us, limit) if placed else ()

        second.subscription.committed = lambda: committed() if placed else {}  # type: ignore[method-assign]
        second.state.parking.due = due_of_ours  # type: ignore[method-assign]
        second.start()
        await second.until(lambda: looked)
        placed = True
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.until(lambda: not second.worker._caution.active)
        await second.stop()

    assert blame.alone == [make_event(1).dedupe_key]


async def test_parked_pairs_run_alone_too_after_an_unclean_end() -> None:
    clock, runs = FakeClock(), []

    async def later(event: Event, ctx: Context) -> None:
        runs.append(ctx.attempt)
        if ctx.attempt == 1:
            raise Retry(after=60)

    router = router_of(later, retry=Backoff())
    async with working(router, clock=clock) as rig:
        rig.put(make_event(1))
        await rig.until_committed()
        await rig.stop()
        clock.forward(61)
        blame = UncleanBlame()
        second = Rig(router, log=rig.log, state=rig.state, clock=clock, blame=blame)
        second.start()
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.stop()

    assert runs == [1, 2]
    assert blame.alone == [make_event(1).dedupe_key]
