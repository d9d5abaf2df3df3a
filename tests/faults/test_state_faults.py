"""The state file under faults: death at any moment, an fsync that fails, and any interleaving of turns."""

import asyncio
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import PoisonedError, Unavailable
from gateway.keep.ports import AlreadyDone
from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.connection import open_writer
from gateway.keep.sqlite.fence import Fence
from gateway.keep.sqlite.state import SqliteState
from gateway.keep.sqlite.turn import SqliteTurn
from tests.state_builders import LOG, make_key, opened

SCHEMA = "create table if not exists effect (name text)"
INSERT = "insert into effect (name) values (:name)"

WORKLOAD = """
import asyncio, itertools, sys
from pathlib import Path
from tests.state_builders import make_key, opened

async def run(state, numbers):
    for number in numbers:
        name = f"evt_{number}"
        turn = await state.store.begin(make_key(name), version=None, attempt=1, limit=5.0)
        await turn.tx.execute("insert into effect (name) values (:name)", {"name": name})
        await asyncio.sleep(0)
        await turn.finish()
        print(name, flush=True)

async def main():
    async with opened(Path(sys.argv[1])) as state:
        await state.store.apply_schema("create table if not exists effect (name text)")
        numbers = itertools.count(int(sys.argv[2]))
        await asyncio.gather(*(run(state, numbers) for _ in range(8)))

asyncio.run(main())
"""


def marks_and_effects(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Return the marked keys, and the keys of the effects, of a state file that nobody has open."""
    connection = apsw.Connection(str(path))
    try:
        assert connection.pragma("integrity_check") == "ok"
        marks = [bytes(row[0]) for row in connection.execute("select dedupe_key from gateway_mark")]
        effects = [make_key(str(row[0])).dedupe_key for row in connection.execute("select name from effect")]
    finally:
        connection.close()
    return sorted(marks), sorted(effects)


async def killed_after(lines: int, path: Path, first: int) -> list[str]:
    """Run the workload until it has told of so many finished turns, kill it there, and return all it told of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKLOAD, str(path), str(first), stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        told = [await process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
    return [line.decode().strip() for line in told if line.endswith(b"\n")]


async def test_kill_9_under_load_leaves_exactly_one_effect_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    told: list[str] = []

    for number in range(4):
        told += await killed_after(random.randint(1, 400), path, number * 1_000_000)

    marks, effects = marks_and_effects(path)
    assert marks == effects
    assert {make_key(name).dedupe_key for name in told} <= set(marks)


class BrokenDisk(apsw.VFS):
    """The disk of the system, until `syncs` or `grows` is turned off."""

    def __init__(self) -> None:
        self.syncs = True
        self.grows = True
        super().__init__("broken-disk", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - apsw's
        return BrokenFile(self, name, flags)


class BrokenFile(apsw.VFSFile):
    """A file that asks the disk first."""

    def __init__(self, disk: BrokenDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's
        if not self._disk.syncs:
            raise apsw.IOError
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's
        if not self._disk.grows:
            raise apsw.FullError
        super().xWrite(data, offset)


@pytest.fixture
def disk() -> Iterator[BrokenDisk]:
    disk = BrokenDisk()
    yield disk
    disk.unregister()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_disk_that_is_full_at_the_commit_fails_the_group_and_the_next_one_works(
    tmp_path: Path, disk: BrokenDisk
) -> None:
    connection = open_writer(tmp_path / "state.db", vfs="broken-disk")
    connection.execute("create table effect (name text)")
    committer = Committer(connection, Fence(connection), in_place=False)
    turn = SqliteTurn(committer, lambda connection: None, 30.0)
    await turn.granted
    await turn.tx.execute(INSERT, {"name": "a"})
    disk.grows = False

    outcomes = await asyncio.gather(turn.finish(), committer.submit(effect("b")), return_exceptions=True)
    disk.grows = True
    await committer.submit(effect("c"))

    assert [getattr(outcome, "reason", None) for outcome in outcomes] == ["disk_full"] * 2
    assert await committer.read(lambda connection: connection.execute("select name from effect").get) == "c"
    await committer.close(1.0)
    connection.close()


def effect(name: str) -> Callable[[apsw.Connection], None]:
    def write(connection: apsw.Connection) -> None:
        connection.execute("insert into effect (name) values (?)", (name,))

    return write


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_fsync_that_fails_poisons_and_nothing_is_told_to_be_durable(tmp_path: Path, disk: BrokenDisk) -> None:
    connection = open_writer(tmp_path / "state.db", vfs="broken-disk")
    connection.execute("create table effect (name text)")
    poisoned: list[bool] = []
    committer = Committer(connection, Fence(connection), in_place=False, on_poison=lambda: poisoned.append(True))
    turn = SqliteTurn(committer, lambda connection: None, 30.0)
    waiting = SqliteTurn(committer, lambda connection: None, 30.0)
    await turn.granted
    await turn.tx.execute(INSERT, {"name": "a"})
    disk.syncs = False

    finished = turn.finish()
    await waiting.granted
    ended = waiting.finish()
    written = committer.submit(effect("b"))
    outcomes = await asyncio.gather(finished, ended, written, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [PoisonedError] * 3
    assert poisoned == [True]
    disk.syncs = True
    with pytest.raises(PoisonedError):
        await committer.submit(lambda connection: None)
    with pytest.raises(PoisonedError):
        await committer.read(lambda connection: None)
    with pytest.raises(PoisonedError):
        await SqliteTurn(committer, lambda connection: None, 30.0).granted
    await committer.close(1.0)
    connection.close()


Step = str
STEPS: tuple[Step, ...] = ("finish", "rollback", "fail", "late", "cancel", "mark", "full", "lose")


class Crashes:
    """Copies of the file as a crash at that moment would leave it, each of which must hold marks and effects alike."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.images: list[Path] = []
        self._path = path
        self._folder = folder

    def take(self) -> None:
        image = self._folder / f"image{len(self.images)}.db"
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(f"{self._path}{suffix}", f"{image}{suffix}")
        self.images.append(image)


async def run_step(state: SqliteState, step: Step, name: str, crash: Callable[[], None]) -> str | None:
    """Run one pair to its end; return its name if it was told to be done by a turn."""
    key = make_key(name)
    if step == "mark":
        await state.store.mark(make_key(name, replay="no-effect"), "done", version=None, attempt=1)
        return None
    try:
        turn = await state.store.begin(key, version=None, attempt=1, limit=0.002 if step == "late" else 30.0)
    except AlreadyDone:
        return None
    try:
        await turn.tx.execute(INSERT, {"name": name})
        crash()
        await asyncio.sleep(0.01 if step == "late" else 0)
        await misbehave(turn, step)
        await turn.finish()
    except (TimeoutError, Unavailable, apsw.ConstraintError):
        return None
    finally:
        await turn.rollback()
    return name


async def misbehave(turn: SqliteTurn, step: Step) -> None:
    if step == "rollback":
        await turn.rollback()
        raise TimeoutError
    if step == "fail":
        with suppress(apsw.SQLError):
            await turn.tx.execute("insert into nothing values (1)")
    elif step == "full":
        await turn.tx.execute("insert into effect select zeroblob(100000000)")
    elif step == "lose":
        await turn.tx.execute("insert or rollback into one values (1)")


async def interleave(steps: list[tuple[Step, int]], folder: Path) -> None:
    path = folder / "billing.db"
    crashes = Crashes(path, folder)
    told: set[str] = set()
    async with opened(path, log=LOG) as state:
        await state.store.apply_schema(f"{SCHEMA}; create table if not exists one (number integer primary key)")
        seed = await state.store.begin(make_key("seed"), version=None, attempt=1, limit=30.0)
        await seed.tx.execute("insert into one values (1)")
        await seed.tx.execute(INSERT, {"name": "seed"})
        await seed.finish()
        keep = state._committer.committed

        def committed() -> None:
            keep()
            crashes.take()

        state._committer.committed = committed
        with state._committer.fence.own():
            state._connection.pragma("max_page_count", 1000)
        tasks = [asyncio.ensure_future(run_step(state, step, f"evt_{number}", crashes.take)) for step, number in steps]
        await asyncio.sleep(0)
        for task, (step, _) in zip(tasks, steps, strict=True):
            if step == "cancel":
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        told = {outcome for outcome in outcomes if isinstance(outcome, str)}
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    for image in (*crashes.images, path):
        check(image)
    marks, _ = marks_and_effects(path)
    assert {make_key(name).dedupe_key for name in told} <= set(marks)


def check(image: Path) -> None:
    connection = apsw.Connection(str(image))
    try:
        marks: list[Any] = connection.execute("select dedupe_key from gateway_mark where replay = ''").fetchall()
        effects: list[Any] = connection.execute("select name from effect").fetchall()
    finally:
        connection.close()
    assert sorted(row[0] for row in marks) == sorted(make_key(str(row[0])).dedupe_key for row in effects)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 6)), min_size=1, max_size=12))
def test_mark_and_rows_are_both_there_or_neither_at_any_crash(steps: list[tuple[Step, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(interleave(steps, Path(folder)))
