"""A disk that fails, runs full, or refuses a row; a process that is killed; a clock that jumps."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import pytest

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.ports import Appended, Position
from gateway.keep.sqlite import log as log_module
from gateway.keep.sqlite.connection import open_reader
from gateway.keep.sqlite.log import SqliteLog, _open
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.schema import FILE_NAME
from tests.faulty_disk import Disk
from tests.log_builders import OpenLog, make_event, sqlite_log, until


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.full = disk.fails_sync = disk.fails_write = False
    disk.unregister()


@pytest.fixture
async def opened(tmp_path: Path, disk: Disk) -> AsyncIterator[OpenLog]:
    poisoned = asyncio.Event()
    log = SqliteLog(LogOptions(folder=tmp_path, min_free=0, vfs=disk.name), wake=lambda: None, on_poison=poisoned.set)
    yield OpenLog(log, None, poisoned=poisoned)  # type: ignore[arg-type]  # no second connection on this disk
    await log.close()


Limiting = Callable[[Callable[[apsw.Connection], object]], None]


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Limiting:
    """Limit the writer's connection when it opens: later it belongs to the writer's thread alone."""

    def limit(how: Callable[[apsw.Connection], object]) -> None:
        def open_limited(options: LogOptions) -> apsw.Connection:
            connection = _open(options)
            how(connection)
            return connection

        monkeypatch.setattr(log_module, "_open", open_limited)

    return limit


def stored_ids(folder: Path) -> list[str]:
    connection = open_reader(folder / FILE_NAME)
    try:
        return [str(row[0]) for row in connection.execute("select event_id from event order by seq")]
    finally:
        connection.close()


@pytest.mark.parametrize("failure", ["fails_sync", "fails_write"])
async def test_an_io_error_on_commit_leaves_the_outcome_unknown_and_poisons_the_log(
    opened: OpenLog, disk: Disk, failure: str
) -> None:
    await opened.append(make_event("evt_before"))
    await opened.append(make_event("evt_after_the_first_tidying"))
    setattr(disk, failure, True)

    outcomes = await opened.outcomes(*[make_event() for _ in range(20)])

    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert {(outcome.reason, outcome.written) for outcome in outcomes if isinstance(outcome, Unavailable)} == {
        ("log_down", None)
    }
    await asyncio.wait_for(opened.poisoned.wait(), 10)


async def test_a_poisoned_log_takes_nothing_more_even_when_the_disk_works_again(opened: OpenLog, disk: Disk) -> None:
    disk.fails_sync = True
    first, queued = opened.log.append([make_event()]), opened.log.append([make_event()])
    outcomes = await asyncio.gather(*first, *queued, return_exceptions=True)
    disk.fails_sync = False

    with pytest.raises(Unavailable) as refused:
        opened.log.append([make_event()])

    assert refused.value.reason == "log_down"
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert opened.log.health().writable is False


async def test_a_failed_sync_is_never_tried_again(opened: OpenLog, disk: Disk, tmp_path: Path) -> None:
    await opened.append(make_event("evt_before"))
    disk.fails_sync = True
    await opened.outcomes(make_event("evt_unknown"))
    disk.fails_sync = False
    synced = disk.syncs

    await opened.log.close()

    assert disk.syncs == synced
    assert stored_ids(tmp_path)[0] == "evt_before"


async def test_a_full_disk_refuses_the_batch_for_certain_and_the_log_goes_on_when_there_is_room(
    opened: OpenLog, disk: Disk, tmp_path: Path
) -> None:
    await opened.append(make_event("evt_before"))
    disk.full = True
    refused = await opened.outcomes(make_event("evt_refused"), make_event())
    disk.full = False

    (later,) = await opened.append(make_event("evt_refused"))
    await opened.log.close()

    assert [(outcome.reason, outcome.written) for outcome in refused if isinstance(outcome, Unavailable)] == [
        ("disk_full", False),
        ("disk_full", False),
    ]
    assert not later.duplicate
    assert stored_ids(tmp_path) == ["evt_before", "evt_refused"]


async def test_a_file_that_may_not_grow_refuses_what_is_too_much_and_stays_readable(
    tmp_path: Path, limited: Limiting
) -> None:
    limited(lambda connection: connection.pragma("max_page_count", 40))
    async with sqlite_log(tmp_path) as opened:
        await opened.append(make_event("evt_before"))

        refused = await opened.outcomes(make_event(body=b"x" * 500_000))
        await opened.append(make_event("evt_after"))

        assert [(outcome.reason, outcome.written) for outcome in refused if isinstance(outcome, Unavailable)] == [
            ("disk_full", False)
        ]
        assert opened.ids() == ["evt_before", "evt_after"]


async def test_a_nearly_full_disk_refuses_before_anything_is_written(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path, min_free=2**62) as opened:
        with pytest.raises(Unavailable) as refused:
            opened.log.append([make_event()])

        assert (refused.value.reason, refused.value.written) == ("disk_full", False)
        assert (opened.log.health().writable, opened.log.health().reason) == (False, "disk_full")


@pytest.mark.parametrize("known", [True, False], ids=["among copies", "among new ones"])
async def test_a_row_that_cannot_be_stored_costs_only_itself(
    tmp_path: Path,
    limited: Limiting,
    known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    limited(lambda connection: connection.limit(apsw.SQLITE_LIMIT_LENGTH, 50_000))
    async with sqlite_log(tmp_path) as opened:
        await opened.append(make_event("evt_known"))
        neighbours = [make_event("evt_a"), make_event("evt_known" if known else "evt_b"), make_event("evt_c")]

        outcomes = await opened.outcomes(*neighbours, make_event("evt_poison", body=b"x" * 60_000), make_event("evt_z"))

        assert [isinstance(outcome, Appended) for outcome in outcomes] == [True, True, True, False, True]
        assert isinstance(outcomes[3], Unavailable)
        assert outcomes[3].written is False
        new = [event.id for event in neighbours if event.id != "evt_known"]
        assert opened.ids() == ["evt_known", *new, "evt_z"]
        (appended,) = await opened.append(make_event("evt_next"))
        assert appended.position == Position(0, opened.reader.last_seq())


WRITER = """
import asyncio, os, sys
from pathlib import Path
from tests.log_builders import make_event, sqlite_log

async def send(opened, sender):
    for number in range(10**6):
        event = make_event(f"evt_{sender}_{number}", body=os.urandom(1500))
        await opened.append(event)
        os.write(1, (event.id + "\\n").encode())

async def main():
    async with sqlite_log(Path(sys.argv[1])) as opened:
        await asyncio.gather(*(send(opened, sender) for sender in range(16)))

asyncio.run(main())
"""


def kill_after(command: list[str], acknowledged: int) -> list[str]:
    """Return all ids the writer acknowledged, from its start to its end by SIGKILL."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        promised = [writer.stdout.readline().decode().strip() for _ in range(acknowledged)]
        writer.kill()
        return promised + [line.decode().strip() for line in writer.stdout if line.endswith(b"\n")]


@pytest.mark.parametrize("acknowledged", [1, 500, 6000])
async def test_a_killed_writer_loses_nothing_it_acknowledged_and_knows_it_at_the_next_start(
    tmp_path: Path, acknowledged: int
) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    promised = await asyncio.to_thread(kill_after, command, acknowledged)

    async with sqlite_log(tmp_path) as opened:
        stored = {event.id: event for event in opened.stored()}
        again = await opened.append(*[stored[event_id] for event_id in promised[-200:]])

    assert set(promised) <= stored.keys()
    assert all(outcome.duplicate for outcome in again)


async def test_a_second_owner_of_the_log_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path):
        with pytest.raises(DependencyError, match=rf"events\.db is in use by process {os.getpid()} "):
            SqliteLog(LogOptions(folder=tmp_path), wake=lambda: None, on_poison=lambda: None)


DAY_US = 86_400_000_000


class Clocks:
    """A wall clock that can be set, and a steady one that only goes on."""

    def __init__(self) -> None:
        self.us, self.seconds = 1_700_000_000_000_000, 1000.0

    def pass_days(self, days: float) -> None:
        self.us += int(days * DAY_US)
        self.seconds += days * 86400

    async def let_it_tidy_up(self, opened: OpenLog, rounds: int = 12) -> None:
        """Append at moments a minute apart: each makes the writer do what is due."""
        for _ in range(rounds):
            self.us += 60_000_000
            self.seconds += 60.0
            await opened.append(make_event(received_us=self.us))


async def remembered(tmp_path: Path, clocks: Clocks, opened: OpenLog) -> bool:
    (again,) = await opened.append(make_event("evt_1", received_us=clocks.us))
    return again.duplicate


@pytest.mark.parametrize("days", [400.0, -400.0], ids=["forwards", "backwards"])
async def test_a_clock_that_jumps_makes_the_log_forget_no_id(tmp_path: Path, days: float) -> None:
    clocks = Clocks()
    async with sqlite_log(tmp_path, now_us=lambda: clocks.us, steady_now=lambda: clocks.seconds) as opened:
        await opened.append(make_event("evt_1", received_us=clocks.us))
        await clocks.let_it_tidy_up(opened)

        clocks.us += int(days * DAY_US)
        await clocks.let_it_tidy_up(opened)

        assert await remembered(tmp_path, clocks, opened)


async def test_an_id_is_forgotten_after_its_window_when_time_really_passed(tmp_path: Path) -> None:
    clocks = Clocks()
    async with sqlite_log(tmp_path, now_us=lambda: clocks.us, steady_now=lambda: clocks.seconds) as opened:
        await opened.append(make_event("evt_1", received_us=clocks.us))
        await clocks.let_it_tidy_up(opened)

        clocks.pass_days(9)
        await clocks.let_it_tidy_up(opened)

        assert not await remembered(tmp_path, clocks, opened)


async def test_health_shows_disk_numbers_within_a_second_or_so(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path) as opened:
        before = opened.log.health().bytes
        await opened.append(*[make_event(body=b"x" * 5000) for _ in range(100)])

        await until(lambda: opened.log.health().bytes > before + 100 * 5000, "the size")


async def test_a_writer_that_fails_outside_its_commits_poisons_the_log(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("the workers cannot be woken")

    poisoned = asyncio.Event()
    log = SqliteLog(LogOptions(folder=tmp_path, min_free=0), wake=fail, on_poison=poisoned.set)

    await asyncio.gather(*log.append([make_event("evt_1")]))

    await asyncio.wait_for(poisoned.wait(), 10)
    assert log.health().writable is False
    await log.close()
