"""Order per handler and key: lanes, retries that are overtaken or hold their key, and the stale guard."""

import asyncio
import contextlib

import pytest

from gateway.api import Backoff, Context, Event, Retry, Router
from gateway.handle.equipment import WorkerSettings
from gateway.keep.ports import MarkKey, Version
from tests.worker_rig import START_US, FakeClock, Rig, make_event, working

SCHEMA = "create table if not exists thing (id text)"
INSERT = "insert into thing (id) values (:id)"


class Diary:
    """A handler that writes down what it runs; the ids in `later` ask for a durable retry at their first run."""

    def __init__(self, *later: str, write: bool = False) -> None:
        self.later = set(later)
        self.runs: list[str] = []
        self.write = write

    async def handle(self, event: Event, ctx: Context) -> None:
        self.runs.append(event.id)
        if self.write:
            await ctx.tx.execute(INSERT, {"id": event.id})
        if event.id in self.later and ctx.attempt == 1:
            raise Retry(after=60)

    def router(self, **options) -> Router:
        router = Router("r", schema=SCHEMA)
        router.add(self.handle, "*", name="h", **options)
        return router


def keyed(*numbers: int, key: str = "k") -> list[Event]:
    return [make_event(number, key=key) for number in numbers]


async def test_events_of_one_key_run_in_stored_order_one_at_a_time_and_other_keys_beside_them() -> None:
    order: dict[str, list[int]] = {}
    running: set[str] = set()
    together = 0

    async def handle(event: Event, ctx: Context) -> None:
        nonlocal together
        assert event.key not in running
        running.add(event.key)
        together = max(together, len(running))
        for _ in range(int(event.id[-1])):
            await asyncio.sleep(0)
        order.setdefault(event.key, []).append(int(event.id[4:]))
        running.discard(event.key)

    router = Router("r")
    router.add(handle, "*", name="h")
    async with working(router) as rig:
        rig.put(*[make_event(number, key=f"k{number % 7}") for number in range(140)])
        await rig.until_committed()

    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert sum(map(len, order.values())) == 140
    assert together > 1


async def test_an_inline_retry_holds_its_key_back() -> None:
    runs: list[tuple[str, int]] = []

    async def handle(event: Event, ctx: Context) -> None:
        runs.append((event.id, ctx.attempt))
        if event.id == "evt_1" and ctx.attempt < 3:
            raise ValueError

    router = Router("r")
    router.add(handle, "*", name="h", retry=Backoff(first=0.001, factor=1.0))
    async with working(router) as rig:
        rig.put(*keyed(1, 2))
        await rig.until_committed()

    assert runs == [("evt_1", 1), ("evt_1", 2), ("evt_1", 3), ("evt_2", 1)]


async def test_relaxed_order_lets_later_events_overtake_a_parked_one() -> None:
    diary, clock = Diary("evt_1"), FakeClock()
    async with working(diary.router(), clock=clock) as rig:
        rig.put(*keyed(1, 2, 3))
        await rig.until_committed()
        clock.forward(61)
        await rig.until(lambda: rig.state.parking.parked() == 0)

    assert diary.runs == ["evt_1", "evt_2", "evt_3", "evt_1"]


async def test_strict_order_holds_the_key_behind_a_parked_one_and_no_other_key() -> None:
    diary, clock = Diary("evt_1"), FakeClock()
    async with working(diary.router(order="strict"), clock=clock) as rig:
        rig.put(*keyed(1, 2, 3), *keyed(4, key="other"))
        await rig.until_committed()
        runs_while_parked, parked = list(diary.runs), rig.state.parking.parked()
        clock.forward(61)
        await rig.until(lambda: rig.state.parking.parked() == 0)

    assert sorted(runs_while_parked) == ["evt_1", "evt_4"]
    assert parked == 3
    assert [run for run in diary.runs if run != "evt_4"] == ["evt_1", "evt_1", "evt_2", "evt_3"]


async def test_strict_order_holds_over_a_restart_and_for_events_that_come_later() -> None:
    diary, clock = Diary("evt_1", "evt_2"), FakeClock()
    router = diary.router(order="strict")
    async with working(router, clock=clock) as rig:
        rig.put(*keyed(1, 2))
        await rig.until_committed()
        await rig.stop()
        second = Rig(router, log=rig.log, state=rig.state, clock=clock)
        second.start()
        second.put(*keyed(3))
        await second.until_committed()
        clock.forward(61)
        await second.until(lambda: diary.runs.count("evt_2") == 1)
        clock.forward(61)
        await second.until(lambda: rig.state.parking.parked() == 0)
        await second.stop()

    assert diary.runs == ["evt_1", "evt_1", "evt_2", "evt_2", "evt_3"]


async def test_a_held_key_is_bounded() -> None:
    diary = Diary("evt_0")
    settings = WorkerSettings(poll=0.005, held_most=3)
    async with working(diary.router(order="strict"), settings=settings) as rig:
        rig.put(*keyed(*range(6)))
        await rig.until_committed()
        letters = await rig.dead()
        parked = rig.state.parking.parked()

    assert parked == 3
    assert [letter.reason for letter in letters] == ["held_too_many"] * 3


@pytest.mark.parametrize("diary", [Diary(), Diary(write=True)], ids=["without tx", "with tx"])
async def test_an_older_event_of_the_key_is_skipped_and_marked(diary: Diary) -> None:
    newer, older, other = make_event(2, key="k"), make_event(1, key="k"), make_event(0, key="other")
    async with working(diary.router(stale="skip")) as rig:
        rig.put(newer, older, other)
        await rig.until_committed()

        assert sorted(diary.runs) == ["evt_0", "evt_2"]
        assert await rig.mark("h", older) == "stale"
        assert rig.meter.runs == {("h", "done"): 2, ("h", "stale"): 1}


async def test_an_event_of_the_same_time_is_not_stale_and_one_without_a_time_runs() -> None:
    diary = Diary()
    events = [
        make_event(1, key="k"),
        make_event(2, key="k", time_us=START_US + 1),
        make_event(3, key="k", time_us=None),
    ]
    async with working(diary.router(stale="skip")) as rig:
        rig.put(*events)
        await rig.until_committed()

    assert diary.runs == ["evt_1", "evt_2", "evt_3"]


async def test_a_retry_that_was_overtaken_is_stale() -> None:
    diary, clock = Diary("evt_1"), FakeClock()
    async with working(diary.router(stale="skip"), clock=clock) as rig:
        rig.put(*keyed(1, 2))
        await rig.until_committed()
        clock.forward(61)
        await rig.until(lambda: rig.state.parking.parked() == 0)

    assert diary.runs == ["evt_1", "evt_2"]
    assert rig.meter.runs["h", "stale"] == 1


async def test_a_version_in_the_payload_decides_and_a_missing_one_is_a_dead_letter() -> None:
    diary = Diary()
    bodies = [b'{"v": {"n": 7}}', b'{"v": {"n": 6}}', b'{"v": {"n": "8"}}', b'{"v": {}}']
    async with working(diary.router(stale="skip", version="json:v.n")) as rig:
        rig.put(*[make_event(number, key="k", body=body) for number, body in enumerate(bodies)])
        await rig.until_committed()
        [letter] = await rig.dead()

    assert diary.runs == ["evt_0", "evt_2"]
    assert (letter.pair.event.id, letter.reason) == ("evt_3", "gave_up")


async def test_the_transaction_decides_about_staleness_even_if_the_handler_swallows_its_word() -> None:
    """A newer version is applied between the look before the run and the handler's first statement."""
    started, gate = asyncio.Event(), asyncio.Event()

    async def swallow(event: Event, ctx: Context) -> None:
        started.set()
        await gate.wait()
        with contextlib.suppress(Exception):
            await ctx.tx.execute(INSERT, {"id": event.id})

    router = Router("r", schema=SCHEMA)
    router.add(swallow, "*", name="h", stale="skip")
    async with working(router) as rig:
        rig.put(make_event(1, key="k"))
        await started.wait()
        newer = Version("acme", "k", START_US + 9)
        await rig.state.store.mark(MarkKey("h", b"another", ""), "done", version=newer, attempt=1)
        gate.set()
        await rig.until_committed()

        assert await rig.rows("select * from thing") == []
        assert await rig.mark("h", make_event(1)) == "stale"
        assert rig.meter.runs == {("h", "stale"): 1}


async def test_a_pair_finished_elsewhere_meanwhile_is_a_duplicate_even_if_the_handler_swallows_it() -> None:
    started, gate = asyncio.Event(), asyncio.Event()
    event = make_event(1)

    async def swallow(event: Event, ctx: Context) -> None:
        started.set()
        await gate.wait()
        for _ in range(2):
            with contextlib.suppress(Exception):
                await ctx.tx.execute(INSERT, {"id": event.id})

    router = Router("r", schema=SCHEMA)
    router.add(swallow, "*", name="h")
    async with working(router) as rig:
        rig.put(event)
        await started.wait()
        await rig.state.store.mark(MarkKey("h", event.dedupe_key), "done", version=None, attempt=1)
        gate.set()
        await rig.until_committed()

        assert await rig.rows("select * from thing") == []
        assert rig.meter.runs == {("h", "duplicate"): 1}
