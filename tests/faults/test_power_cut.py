"""The power goes at a random moment: what was acknowledged is there, and known as such.

The control runs the same with `synchronous=NORMAL`, and must lose events: otherwise the simulated disk is too kind.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gateway.keep.sqlite import checkpoints, ids
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.schema import FILE_NAME
from tests.faulty_disk import Disk
from tests.log_builders import make_event, sqlite_log

CUTS = 4
SEEDS = int(os.environ.get("POWER_CUT_SEEDS", "12"))


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.unregister()


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoint and move ids so often that cuts fall into them."""
    monkeypatch.setattr(checkpoints, "SOFT_FRAMES", 40)
    monkeypatch.setattr(checkpoints, "HARD_FRAMES", 80)
    monkeypatch.setattr(ids, "GATHERED", 30)
    monkeypatch.setattr(ids, "_SLICE_ROWS", 8)


class Load:
    """Appends under way, and which of them were acknowledged."""

    def __init__(self, log: SqliteLog, chance: random.Random) -> None:
        self.log, self.chance = log, chance
        self.acknowledged: list[str] = []

    async def run(self, events: int) -> None:
        await asyncio.gather(*(self._send(f"{sender}", events // 8) for sender in range(8)))

    async def _send(self, sender: str, events: int) -> None:
        for _ in range(events):
            event = make_event(body=self.chance.randbytes(self.chance.choice([10, 700, 9000])))
            (future,) = self.log.append([event])
            await future
            self.acknowledged.append(event.id)


async def cut_under_load(folder: Path, disk: Disk, seed: int, synchronous: str) -> list[tuple[Path, set[str]]]:
    """Return for each cut where its remains are, and what had been acknowledged before it."""
    chance = random.Random(seed)
    options = LogOptions(folder=folder / "live", min_free=0, vfs=disk.name, synchronous=synchronous)
    log = SqliteLog(options, wake=lambda: None, on_poison=lambda: None)
    load, cuts = Load(log, chance), []
    for number in range(CUTS):
        working = asyncio.ensure_future(load.run(chance.randrange(8, 160)))
        await asyncio.wait({working}, timeout=chance.random() * 0.02)
        acknowledged = set(load.acknowledged)
        disk.cut(folder / f"cut-{number}", chance)
        cuts.append((folder / f"cut-{number}", acknowledged))
        await working
    await log.close()
    return cuts


def ids_in(folder: Path) -> set[str]:
    connection = apsw.Connection(str(folder / FILE_NAME))
    try:
        assert connection.pragma("integrity_check") == "ok"
        if not connection.table_exists("main", "event"):
            return set()
        return {str(row[0]) for row in connection.execute("select event_id from event")}
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_acknowledged_event_is_lost_when_the_power_goes(tmp_path: Path, disk: Disk, seed: int) -> None:
    cuts = await cut_under_load(tmp_path, disk, seed, "full")

    for remains, acknowledged in cuts:
        assert acknowledged <= ids_in(remains)


@pytest.mark.parametrize("seed", range(100, 103))
async def test_after_a_power_cut_every_acknowledged_event_is_known_as_a_duplicate(
    tmp_path: Path, disk: Disk, seed: int
) -> None:
    cuts = await cut_under_load(tmp_path, disk, seed, "full")

    for remains, acknowledged in cuts:
        async with sqlite_log(remains) as opened:
            stored = {event.id: event for event in opened.stored()}
            outcomes = await opened.append(*[stored[event_id] for event_id in sorted(acknowledged)])

        assert all(outcome.duplicate for outcome in outcomes)


async def test_without_a_sync_at_each_commit_the_same_cuts_lose_events(tmp_path: Path, disk: Disk) -> None:
    cuts = await cut_under_load(tmp_path, disk, 1, "normal")

    assert any(acknowledged - ids_in(remains) for remains, acknowledged in cuts)
