"""A disk that fills up, and a log that outgrows its bounds while a router is stopped."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fault_rig import (
    accept,
    command_rows,
    configuration,
    effects,
    lines,
    metric,
    send,
    stored,
    stripe,
    told_to_come_again,
)
from tests.running import LEDGER, RunningGateway, running, until

MIB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The gateway's folder on a file system of 24 MiB."""
    folder = tmp_path / "var"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root; the test below it needs none")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path, *, size: int) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def fill_up(path: Path) -> None:
    """Leave nothing free, whatever else writes meanwhile."""
    with path.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))


def free(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def refused_after(gateway: RunningGateway) -> int:
    """Send new events until one is refused; return how many were taken."""
    taken = 0
    ends = time.monotonic() + 30
    while takes(gateway, f"evt_{taken}"):
        taken += 1
        assert time.monotonic() < ends, "nothing was refused"
    return taken


def takes(gateway: RunningGateway, event_id: str) -> bool:
    (answer,) = send(gateway, stripe(event_id))
    return answer.acknowledged


def test_below_the_space_to_be_kept_free_deliveries_are_503_until_there_is_room(tmp_path: Path) -> None:
    margin = 512 * MIB
    keep_free = free(tmp_path) - margin
    config = configuration(log=f"path: var, min_free: {keep_free}B")
    with running(tmp_path, config=config) as gateway:
        accept(gateway, stripe("evt_before"))
        fill(tmp_path / "filler", size=2 * margin)

        taken = refused_after(gateway)
        (answer,) = send(gateway, stripe("evt_after"))
        assert told_to_come_again(answer)
        assert gateway.admin("/readyz")[0] == 503
        assert metric(gateway, "gateway_log_writable") == 0
        assert len(command_rows(gateway, "events", "list", "--limit", "100000")) == len(stored(gateway)) == taken + 1

        (tmp_path / "filler").unlink()
        until(lambda: takes(gateway, "evt_after"), what="an acknowledgement")
        until(lambda: len(effects(gateway)) == taken + 2)
        assert gateway.admin("/readyz")[0] == 200


def test_a_disk_full_to_the_last_byte_loses_nothing_acknowledged_and_the_gateway_goes_on(
    tmp_path: Path, small_disk: Path
) -> None:
    config = configuration(log="path: var, min_free: 1B")
    with running(tmp_path, config=config) as gateway:
        edge, worker = gateway.pid("edge"), gateway.pid("worker:ledger")
        fill(small_disk / "filler", size=free(small_disk) - 2 * MIB)

        events = [stripe(f"evt_{number}", filler=4000) for number in range(2000)]
        answers = send(gateway, *events, connections=16)
        acknowledged = {f"evt_{number}" for number, answer in enumerate(answers) if answer.acknowledged}
        assert {answer.status for answer in answers} == {200, 503}
        assert all(answer.acknowledged or told_to_come_again(answer) for answer in answers)
        assert command_rows(gateway, "events", "list", "--limit", "5")

        (small_disk / "filler").unlink()
        until(lambda: takes(gateway, "evt_after"), what="an acknowledgement")
        kept = {event_id for _, event_id, _ in stored(gateway)}
        assert acknowledged <= kept
        until(lambda: sorted(effects(gateway)) == sorted(kept), what="each effect once")
        assert (gateway.pid("edge"), gateway.pid("worker:ledger")) == (edge, worker)


@pytest.mark.parametrize("process", ["edge", "worker:ledger"])
def test_a_process_killed_while_the_disk_is_full_is_back_when_there_is_room_and_senders_are_answered_meanwhile(
    tmp_path: Path, small_disk: Path, process: str
) -> None:
    with running(tmp_path, config=configuration(log="path: var, min_free: 1B")) as gateway:
        accept(gateway, *(stripe(f"evt_{number}", filler=1000) for number in range(200)))
        fill_up(small_disk / "filler")

        gateway.kill(process)
        until(lambda: lines(gateway, "child.ended"))
        (answer,) = send(gateway, stripe("evt_full"))
        assert told_to_come_again(answer)

        (small_disk / "filler").unlink()
        until(lambda: takes(gateway, "evt_after"), what="an acknowledgement")
        until(lambda: len(effects(gateway)) == 201)
        assert sorted(effects(gateway)) == sorted(event_id for _, event_id, _ in stored(gateway))


def test_what_retention_removes_before_a_stopped_router_came_to_it_is_a_named_and_counted_gap(tmp_path: Path) -> None:
    config = configuration("ledger", "awake", log="path: var, min_free: 1MiB, max_bytes: 2MiB")
    awake = LEDGER.replace('Router("ledger"', 'Router("awake"')
    with running(tmp_path, config=config, handlers={"ledger_handlers": LEDGER, "awake_handlers": awake}) as gateway:
        command_rows(gateway, "routers", "pause", "ledger")
        ids = [f"evt_{number}" for number in range(2500)]
        accept(gateway, *(stripe(event_id, filler=2000) for event_id in ids), connections=16)
        until(lambda: metric(gateway, "gateway_gap_events_total", router="ledger") > 0, what="a gap")

        command_rows(gateway, "routers", "resume", "ledger")
        until(lambda: metric(gateway, "gateway_backlog_events", router="ledger") == 0, what="an end of the backlog")

        until(lambda: sorted(effects(gateway, "awake")) == sorted(ids))
        told = sum(int(line["events"]) for line in lines(gateway, "subscription.gap"))
        counted = metric(gateway, "gateway_gap_events_total", router="ledger")
        assert 0 < len(ids) - len(effects(gateway)) == told, "neither handled nor told"
        # What the worker held in memory when it was removed is counted by retention, and handled all the same.
        assert told <= counted < len(ids)
        assert metric(gateway, "gateway_gap_events_total", router="awake") == 0
        assert {line["router"] for line in lines(gateway, "log.gap")} == {"ledger"}
        assert {row["router"]: row["gap"] for row in command_rows(gateway, "routers", "list")} == {
            "ledger": counted,
            "awake": 0,
        }
