"""The commands that change something, on a running gateway through its control socket and on a stopped one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_rig import accept, command_rows, dead, effects, frozen, metric, still_for, stripe
from tests.running import RunningGateway, running, until

# Gives up on `picky` events until the file `mended` is there.
PICKY = """
from pathlib import Path

from gateway import Context, Event, GiveUp, Router

router = Router("ledger", schema="create table if not exists effect (id text, attempt integer)")


@router.on("*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    if event.type == "picky" and not Path("mended").exists():
        raise GiveUp("not yet")
    row = {"id": event.id, "attempt": ctx.attempt}
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", row)
"""

GOOD = ["evt_good_0", "evt_good_1"]
BAD = ["evt_bad_0", "evt_bad_1", "evt_bad_2"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A running gateway with two events done and three dead letters."""
    with running(tmp_path, handlers={"ledger_handlers": PICKY}) as started:
        accept(started, *(stripe(event_id) for event_id in GOOD))
        accept(started, *(stripe(event_id, kind="picky") for event_id in BAD))
        until(lambda: len(dead(started)) == 3 and len(effects(started)) == 2)
        yield started


@pytest.fixture(params=["running", "stopped"])
def command(gateway: RunningGateway, request: pytest.FixtureRequest) -> RunningGateway:
    """The same, running or stopped; `resumed` has it running again."""
    if request.param == "stopped":
        assert gateway.stop() == 0
    return gateway


def resumed(gateway: RunningGateway) -> None:
    assert gateway.process is not None
    if gateway.process.poll() is not None:
        gateway.start()


def mend(gateway: RunningGateway) -> None:
    (gateway.folder / "mended").touch()


def test_a_dead_letter_that_is_retried_runs_and_its_neighbours_stay(command: RunningGateway) -> None:
    mend(command)
    chosen = next(letter for letter in dead(command) if letter.pair.event.id == "evt_bad_1")

    assert command_rows(command, "dead", "retry", "ledger", str(chosen.id)) == [{"router": "ledger", "retried": 1}]

    resumed(command)
    until(lambda: sorted(effects(command)) == sorted([*GOOD, "evt_bad_1"]))
    assert sorted(letter.pair.event.id for letter in dead(command)) == ["evt_bad_0", "evt_bad_2"]


def test_a_dead_letter_that_fails_again_is_one_again(command: RunningGateway) -> None:
    assert command_rows(command, "dead", "retry", "ledger", "--all") == [{"router": "ledger", "retried": 3}]

    resumed(command)
    until(lambda: sorted(letter.pair.event.id for letter in dead(command)) == sorted(BAD))
    assert sorted(effects(command)) == sorted(GOOD)


def test_purged_dead_letters_are_gone_until_a_replay_of_what_is_missing_runs_them(command: RunningGateway) -> None:
    assert command_rows(command, "dead", "purge", "ledger", "--all", "--yes") == [{"router": "ledger", "purged": 3}]
    assert dead(command) == []
    mend(command)

    *_, result = command_rows(command, "replay", "--router", "ledger", "--mode", "missing")

    assert result["total"] == 5
    resumed(command)
    until(lambda: len(effects(command)) == 5)
    assert sorted(effects(command)) == sorted([*GOOD, *BAD])


def test_a_forced_replay_runs_everything_that_fits_once_more(command: RunningGateway) -> None:
    *_, result = command_rows(
        command, "replay", "--router", "ledger", "--mode", "force", "--yes", "--type", "invoice.paid"
    )

    assert result["total"] == 2
    resumed(command)
    until(lambda: len(effects(command)) == 4)
    assert sorted(effects(command)) == sorted([*GOOD, *GOOD])
    assert len(dead(command)) == 3


def test_a_paused_router_begins_nothing_over_a_restart_until_it_is_resumed(command: RunningGateway) -> None:
    assert command_rows(command, "routers", "pause", "ledger") == [{"router": "ledger", "paused": "operator"}]

    resumed(command)
    accept(command, stripe("evt_late"))
    assert command.stop() == 0
    command.start()
    assert metric(command, "gateway_router_paused", router="ledger", cause="operator") == 1
    assert still_for(lambda: len(effects(command)) == 2, 1.0)

    assert command_rows(command, "routers", "resume", "ledger") == [{"router": "ledger", "paused": ""}]
    until(lambda: sorted(effects(command)) == sorted([*GOOD, "evt_late"]))


def test_a_command_for_a_frozen_worker_ends_with_3_and_changes_nothing(gateway: RunningGateway) -> None:
    (router,) = command_rows(gateway, "routers", "list")
    assert router["dead"] == 3

    with frozen(gateway, "worker:ledger"):
        retried = gateway.command("dead", "retry", "ledger", "--all", "--config", "gateway.yaml")

    assert retried.returncode == 3
    assert "Traceback" not in retried.stderr
    assert len(dead(gateway)) == 3
