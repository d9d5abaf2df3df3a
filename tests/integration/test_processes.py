"""The processes of one gateway: who may start, what a damaged file costs, and how it all ends."""

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault_rig import accept, command_rows, configuration, effects, lines, metric, stored, stripe
from tests.running import LEDGER, RunningGateway, running, until

OTHER = LEDGER.replace('Router("ledger"', 'Router("other"')
BOTH = {"ledger_handlers": LEDGER, "other_handlers": OTHER}


def events(first: int, last: int) -> list[str]:
    return [f"evt_{number}" for number in range(first, last)]


def store_and_handle(gateway: RunningGateway, ids: list[str]) -> None:
    before = len(stored(gateway))
    accept(gateway, *map(stripe, ids))
    until(lambda: len(effects(gateway)) == before + len(ids), what="the effects")


def children(gateway: RunningGateway) -> list[str]:
    assert gateway.process is not None
    pid = gateway.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def start_and_fail(gateway: RunningGateway) -> tuple[int, str]:
    """Start, expect it to end by itself, and return its status and what it said since."""
    before = len(gateway.output.read_text()) if gateway.output.exists() else 0
    gateway.start(wait=False)
    assert gateway.process is not None
    status = gateway.process.wait(30)
    return status, gateway.output.read_text()[before:]


def test_a_second_gateway_on_the_same_log_ends_with_3_and_names_the_first(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        assert gateway.process is not None

        second = gateway.command("run", "--config", "gateway.yaml")

        assert second.returncode == 3
        assert f"process {gateway.process.pid} " in second.stderr
        store_and_handle(gateway, events(0, 5))


@pytest.mark.parametrize("which, key", [("port", "server.port"), ("admin_port", "server.admin_port")])
def test_a_port_in_use_ends_with_3_and_names_the_setting(tmp_path: Path, which: str, key: str) -> None:
    gateway = RunningGateway(tmp_path)
    with socket.create_server(("127.0.0.1", getattr(gateway, which))):
        started = gateway.command("run", "--config", "gateway.yaml")

    assert started.returncode == 3
    assert f"127.0.0.1:{getattr(gateway, which)}" in started.stderr
    assert f"set {key}" in started.stderr


def overwrite(path: Path, *, start: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"not a database, whatever it was " * ((path.stat().st_size - start) // 32))


DAMAGE = pytest.mark.parametrize("start", [0, 4096], ids=["whole", "all but the first page"])


@DAMAGE
def test_the_damaged_state_of_one_router_stops_no_other_and_names_file_and_remedy(tmp_path: Path, start: int) -> None:
    with running(tmp_path, config=configuration("ledger", "other"), handlers=BOTH) as gateway:
        store_and_handle(gateway, events(0, 5))
        gateway.stop()
        state = gateway.log_path / "state" / "other.db"
        shutil.copy(state, tmp_path / "good.db")
        overwrite(state, start=start)

        gateway.start()
        store_and_handle(gateway, events(5, 10))

        causes = until(lambda: [str(line["cause"]) for line in lines(gateway, "child.cannot_start")])
        assert str(state.relative_to(tmp_path)) in causes[0]
        assert "restore a backup of it, or move it away" in causes[0]
        assert gateway.admin("/readyz")[0] == 200
        assert metric(gateway, "gateway_up", process="worker:other") == 0

        listed = gateway.command("routers", "list", "--config", "gateway.yaml", "--output", "jsonl")
        assert listed.returncode == 1
        assert [json.loads(line)["router"] for line in listed.stdout.splitlines()] == ["ledger"]
        assert "router other: " in listed.stderr

        shutil.copy(tmp_path / "good.db", state)
        until(lambda: sorted(effects(gateway, "other")) == events(0, 10), what="the restored router to catch up")


@DAMAGE
def test_a_damaged_log_is_refused_by_name(tmp_path: Path, start: int) -> None:
    with running(tmp_path) as gateway:
        store_and_handle(gateway, events(0, 3))
        gateway.stop()
        remove_log(gateway, "-wal", "-shm")
        overwrite(gateway.log_path / "events.db", start=start)

        status, said = start_and_fail(gateway)

        assert status == 1
        assert "events.db is damaged" in said
        assert "Traceback" not in said


def remove_log(gateway: RunningGateway, *endings: str) -> None:
    for ending in endings:
        (gateway.log_path / f"events.db{ending}").unlink(missing_ok=True)


def test_a_restored_older_log_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        store_and_handle(gateway, events(0, 3))
        assert gateway.command("backup", "older", "--config", "gateway.yaml").returncode == 0
        store_and_handle(gateway, events(3, 10))
        gateway.stop()
        remove_log(gateway, "", "-wal", "-shm")
        shutil.copy(tmp_path / "older" / "events.db", gateway.log_path / "events.db")

        status, said = start_and_fail(gateway)

        assert status == 3
        assert "beyond the log's end at 3" in said
        assert "gateway routers forget ledger" in said


def test_an_unknown_log_is_handled_from_its_beginning_with_an_alarm(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        store_and_handle(gateway, events(0, 3))
        gateway.stop()
        remove_log(gateway, "", "-wal", "-shm")
        gateway.words = "serve"
        gateway.start()
        accept(gateway, *map(stripe, events(3, 6)))
        gateway.stop()
        gateway.words = "run"

        gateway.start()

        until(lambda: effects(gateway) == events(0, 6))
        assert [line["router"] for line in lines(gateway, "state.unknown_log")] == ["ledger"]


ADDED = """

@router.on("*", name="added")
async def added(event: Event, ctx: Context) -> None:
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, 100)", {"id": f"added {event.id}"})
"""


def test_a_handler_added_to_a_known_router_begins_where_the_router_stands(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        store_and_handle(gateway, events(0, 3))
        gateway.stop()
        (tmp_path / "ledger_handlers.py").write_text(LEDGER + ADDED)
        gateway.start()
        accept(gateway, stripe("evt_3"))
        until(lambda: len(effects(gateway)) == 5)
        assert sorted(effects(gateway)) == ["added evt_3", *events(0, 4)]

        command_rows(gateway, "replay", "--router", "ledger", "--handler", "added")

        expected = sorted([*events(0, 4), *(f"added {event_id}" for event_id in events(0, 4))])
        until(lambda: sorted(effects(gateway)) == expected)


@pytest.mark.parametrize(
    "seen",
    [children, lambda gateway: len(children(gateway)) == 2],
    ids=["at the first child", "at the second child"],
)
def test_a_gateway_told_to_stop_while_it_starts_stops(tmp_path: Path, seen: Callable[[RunningGateway], object]) -> None:
    gateway = RunningGateway(tmp_path)
    try:
        gateway.start(wait=False)
        until(lambda: seen(gateway))

        assert gateway.stop(deadline=15) == 0
    finally:
        gateway.end()


def test_a_terminals_interrupt_to_all_processes_is_an_orderly_end(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        accept(gateway, *map(stripe, events(0, 300)))
        assert gateway.process is not None

        os.killpg(gateway.process.pid, signal.SIGINT)

        assert gateway.process.wait(30) == 0
        assert lines(gateway, "child.ended") == []
        gateway.start()
        until(lambda: sorted(effects(gateway)) == sorted(events(0, 300)))


def test_processes_that_died_are_shown_as_down_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        before = gateway.pid("worker:ledger")
        gateway.kill("worker:ledger")

        until(lambda: gateway.pid("worker:ledger") not in (None, before))

        assert metric(gateway, "gateway_up", process="worker:ledger") == 1
        assert [line["child"] for line in lines(gateway, "child.ended")] == ["worker:ledger"]
