import shutil
from pathlib import Path

from gateway.keep.sqlite.state import register
from tests.log_builders import OpenLog, make_event, sqlite_log

DAY_US = 86_400_000_000


class Clocks:
    def __init__(self) -> None:
        self.us, self.seconds = 1_700_000_000_000_000, 1000.0

    def pass_seconds(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)
        self.seconds += seconds


async def go_on_until_few(opened: OpenLog, clocks: Clocks, few: int) -> None:
    """Append now and then, each time giving the writer a slice of its other work, until `few` events are left."""
    for _ in range(1000):
        if opened.log.health().events <= few:
            return
        clocks.pass_seconds(10)
        await opened.append(make_event(received_us=clocks.us))
    raise AssertionError(opened.log.health())


async def test_a_running_log_keeps_to_its_size_and_knows_the_ids_of_what_is_gone(tmp_path: Path) -> None:
    clocks = Clocks()
    first = make_event("evt_first", body=b"x" * 50_000, received_us=clocks.us)
    running = sqlite_log(
        tmp_path / "live", max_bytes=2**20, now_us=lambda: clocks.us, steady_now=lambda: clocks.seconds
    )
    async with running as opened:
        await opened.append(first, *[make_event(body=b"x" * 50_000, received_us=clocks.us) for _ in range(60)])
        await go_on_until_few(opened, clocks, 40)
        (again,) = await opened.append(first)
        shutil.copytree(tmp_path / "live", tmp_path / "after-a-crash")

    async with sqlite_log(tmp_path / "after-a-crash") as restarted:
        (once_more,) = await restarted.append(first)

        assert again.duplicate
        assert once_more.duplicate
        assert restarted.reader.first_seq() > 1  # type: ignore[attr-defined]
        assert "evt_first" not in restarted.ids()


async def test_a_running_log_lets_go_of_old_events_but_not_of_those_a_router_needs(tmp_path: Path) -> None:
    clocks = Clocks()
    async with sqlite_log(tmp_path, now_us=lambda: clocks.us, steady_now=lambda: clocks.seconds) as opened:
        # Old when they are stored: a jump of the clock would make the router an idle one, if it was seen before.
        register(tmp_path / "state" / "slow.db", "slow", opened.reader.log_id(), 30)
        old_us = clocks.us - 15 * 86_400_000_000
        await opened.append(*[make_event(received_us=old_us) for _ in range(50)])

        appended = 0
        while opened.reader.first_seq() == 1 and appended < 1000:  # type: ignore[attr-defined]
            clocks.pass_seconds(10)
            await opened.append(make_event(received_us=clocks.us))
            appended += 1

        assert opened.reader.first_seq() == 31  # type: ignore[attr-defined]
        assert opened.reader.gap_events("slow") == 0
        assert opened.reader.count_after(30) == 20 + appended
