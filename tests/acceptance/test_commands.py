"""A day with the gateway, told in its commands: what came, what went wrong, how it was put right, what was kept."""

import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Ran
from tests.running import RunningGateway, running, until
from tests.sender import STRIPE_SECRET

# Fails while the file `broken` is there.
HANDLERS = """
from pathlib import Path

from gateway import Context, Event, GiveUp, Router

router = Router("ledger", schema="create table if not exists effect (id text, attempt integer)")


@router.on("*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    if Path("broken").exists():
        raise GiveUp("the ledger is closed")
    row = {"id": event.id, "attempt": ctx.attempt}
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", row)
"""

OK, FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class Desk:
    """Where the operator types: each command beside the running gateway, with its configuration."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway

    def __call__(self, *words: str) -> Ran:
        said = self.gateway.command(*words)
        assert "Traceback" not in said.stderr
        assert STRIPE_SECRET not in said.stdout + said.stderr
        return Ran(said.returncode, said.stdout, said.stderr)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a command that must succeed; return its rows."""
        ran = self(*words, "--output", "jsonl")
        assert ran.status == OK, ran.err
        return ran.rows

    def row(self, *words: str) -> dict[str, Any]:
        (only,) = self.rows(*words)
        return only

    def send(self, event_id: str, *words: str) -> None:
        sent = self.row("send", "stripe", "invoice.paid", "--id", event_id, *words)
        assert (sent["status"], sent["id"]) == (200, event_id)

    def states(self, event_id: str) -> list[str]:
        return [handler["state"] for handler in self.row("events", "show", "stripe", event_id)["handlers"]]

    def becomes(self, event_id: str, state: str) -> None:
        until(lambda: self.states(event_id) == [state], what=f"{event_id} {state}")


@pytest.fixture(scope="module", autouse=True)
def configured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_CONFIG", "gateway.yaml")
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with running(folder, handlers={"ledger_handlers": HANDLERS}) as gateway:
        yield Desk(gateway)


def test_check_finds_nothing_wrong_beside_the_running_gateway(desk: Desk):
    assert {row["state"] for row in desk.rows("check")} == {"ok"}


def test_an_event_is_listed_shown_and_followed(desk: Desk):
    desk.send("evt_first")

    assert desk.rows("events", "list", "--type", "invoice.paid")[-1]["id"] == "evt_first"
    desk.becomes("evt_first", "done")
    raw = desk("events", "show", "stripe", "evt_first", "--raw")
    assert json.loads(raw.out)["id"] == "evt_first"
    assert followed(desk)["id"] == "evt_first"


def followed(desk: Desk) -> dict[str, Any]:
    """Follow events until the first one, then press Ctrl-C."""
    words = ["events", "tail", "--since", "1h", "--output", "jsonl"]
    tail = subprocess.Popen(
        [sys.executable, "-m", "gateway", *words],
        cwd=desk.gateway.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tail.stdout is not None
    line: dict[str, Any] = json.loads(tail.stdout.readline())
    tail.send_signal(signal.SIGINT)
    _, said = tail.communicate(timeout=20)
    assert (tail.returncode, said.strip()) == (INTERRUPTED, b"gateway: interrupted")
    return line


def test_a_dead_letter_is_shown_with_its_reason_mended_and_retried(desk: Desk):
    broken = desk.gateway.folder / "broken"
    broken.touch()
    desk.send("evt_dead")
    desk.becomes("evt_dead", "dead")
    (letter,) = desk.rows("dead", "list")
    assert (letter["id"], letter["reason"]) == ("evt_dead", "gave_up")
    shown = desk("dead", "show", "ledger", str(letter["number"]))
    assert "the ledger is closed" in shown.out

    broken.unlink()
    assert desk.row("dead", "retry", "ledger", str(letter["number"]))["retried"] == 1

    desk.becomes("evt_dead", "done")
    assert desk.rows("dead", "list") == []
    assert desk.gateway.effects().count("evt_dead") == 1


def test_a_dead_letter_is_purged_only_after_a_yes(desk: Desk):
    broken = desk.gateway.folder / "broken"
    broken.touch()
    desk.send("evt_hopeless")
    desk.becomes("evt_hopeless", "dead")
    broken.unlink()

    unasked = desk("dead", "purge", "ledger", "--all")
    assert (unasked.status, len(desk.rows("dead", "list"))) == (BAD_INPUT, 1)
    assert desk.row("dead", "purge", "ledger", "--all", "--yes")["purged"] == 1
    assert desk.rows("dead", "list") == []


def test_a_replay_counts_first_and_runs_only_what_is_missing(desk: Desk):
    desk.send("evt_again")
    desk.becomes("evt_again", "done")

    counted = desk.row("replay", "--router", "ledger", "--source", "stripe", "--dry-run")
    assert (counted["state"], counted["events"]) == ("counted", len(desk.rows("events", "list", "--source", "stripe")))
    *_, result = desk.rows("replay", "--router", "ledger")
    assert result["state"] == "done"
    assert desk.gateway.effects().count("evt_again") == 1


def test_a_forced_replay_needs_a_yes_and_runs_what_is_done_once_more(desk: Desk):
    desk.send("evt_forced")
    desk.becomes("evt_forced", "done")
    words = ("replay", "--router", "ledger", "--mode", "force", "--since", "1m")

    assert desk(*words).status == BAD_INPUT
    assert desk(*words, "--yes").status == OK

    assert desk.gateway.effects().count("evt_forced") == 2


def test_a_paused_router_lets_its_events_wait(desk: Desk):
    assert desk.row("routers", "pause", "ledger")["paused"]
    desk.send("evt_waiting")

    until(lambda: desk.row("routers", "list")["backlog"] == 1, what="a backlog of one")
    assert desk.row("routers", "list")["paused"] == "operator"
    assert desk.states("evt_waiting") == ["pending"]
    desk.row("routers", "resume", "ledger")
    desk.becomes("evt_waiting", "done")
    assert desk.row("routers", "list")["paused"] == ""


def test_a_refusal_shows_the_reason_that_its_sender_is_not_told(desk: Desk):
    answer = desk.row("send", "stripe", "--forge")

    assert json.loads(answer["body"]) == {"status": "refused", "reason": "unverified"}
    until(lambda: desk.rows("rejections", "--source", "stripe"), what="the rejection")
    (rejection,) = desk.rows("rejections", "--source", "stripe")
    assert (rejection["reason"], rejection["delivery_id"]) == ("signature_mismatch", answer["delivery_id"])


def test_sources_and_providers_are_listed(desk: Desk):
    stripe, github = desk.rows("sources", "list")

    assert (stripe["source"], stripe["secrets"], github["events"]) == ("stripe", ["TEST_STRIPE_SECRET"], 0)
    assert stripe["events"] == len(desk.rows("events", "list", "--source", "stripe", "--limit", "1000"))
    assert "stripe" in [row["provider"] for row in desk.rows("providers")]
    assert "Traps" in desk("providers", "github").out


def test_a_backup_of_the_running_gateway_starts_and_remembers(desk: Desk, tmp_path):
    desk.send("evt_kept")
    desk.becomes("evt_kept", "done")
    assert desk("backup", str(tmp_path / "copy/var")).status == OK

    with running(tmp_path / "copy", handlers={"ledger_handlers": HANDLERS}) as restored:
        copy = Desk(restored)
        twice = copy.row("send", "stripe", "invoice.paid", "--id", "evt_kept")

        assert copy.rows("events", "list") == desk.rows("events", "list")
        assert json.loads(twice["body"]) == {"status": "duplicate"}
        assert restored.effects() == desk.gateway.effects()
        copy.send("evt_new")
        copy.becomes("evt_new", "done")
    assert "evt_new" not in desk.gateway.stored_ids()


STATUSES = [
    pytest.param(["--version"], OK, id="version"),
    pytest.param(["events", "show", "stripe", "nope"], FAILED, id="no such event"),
    pytest.param(["dead", "show", "ledger", "99"], FAILED, id="no such dead letter"),
    pytest.param(["backup", "."], BAD_INPUT, id="a backup over something"),
    pytest.param(["send", "nobody"], BAD_INPUT, id="no such source"),
    pytest.param(["send", "stripe", "no.such.example"], BAD_INPUT, id="no such example"),
    pytest.param(["routers", "pause", "nobody"], BAD_INPUT, id="no such router"),
    pytest.param(["providers", "strpe"], BAD_INPUT, id="no such provider"),
    pytest.param(["events", "list", "--since", "yesterday"], BAD_INPUT, id="no time"),
    pytest.param(["events", "list", "--nope"], BAD_INPUT, id="no such option"),
    pytest.param(["nope"], BAD_INPUT, id="no such command"),
    pytest.param(["check", "--config", "nowhere.yaml"], BAD_INPUT, id="no configuration"),
    pytest.param(["send", "stripe", "--url", "http://127.0.0.1:9/"], UNREACHABLE, id="nobody there"),
    pytest.param(["run"], UNREACHABLE, id="a second gateway"),
    pytest.param(["routers", "forget", "ledger", "--yes"], FAILED, id="forgetting what runs"),
]


@pytest.mark.parametrize("words,status", STATUSES)
def test_the_exit_status_tells_what_kind_of_thing_went_wrong(desk: Desk, words, status):
    ran = desk(*words)

    assert ran.status == status
    assert bool(ran.err or ran.out)


def test_what_is_stored_and_its_backup_are_for_their_user_alone(desk: Desk, tmp_path):
    desk("backup", str(tmp_path / "copy"))

    folders = desk.gateway.log_path, tmp_path / "copy"

    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700, 0o700]


def test_a_folder_that_cannot_be_made_is_told_with_the_remedy(tmp_path):
    (tmp_path / "var").touch()
    gateway = RunningGateway(tmp_path)

    said = gateway.command("run", "--config", "gateway.yaml")

    assert said.returncode == UNREACHABLE
    assert "change log.path" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_second_gateway_names_the_first(desk: Desk):
    assert desk.gateway.process is not None

    assert str(desk.gateway.process.pid) in desk("run").err


def test_a_wrong_configuration_is_told_with_its_places_and_without_its_secrets(desk: Desk, tmp_path: Path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "server: {prot: 1}\nsources:\n  stripe: {provider: strpe, secrets: [{dev: whsec_secret_of_mine}]}\n"
    )

    ran = desk("run", "--config", str(wrong))

    assert ran.status == BAD_INPUT
    assert f"{wrong}:1:10: server.prot" in ran.err
    assert "did you mean" in ran.err
    assert f"{wrong}:3:" in ran.err
    assert "whsec_secret_of_mine" not in ran.err


def test_what_a_stopped_gateway_left_is_still_shown_and_changed(tmp_path):
    with running(tmp_path, handlers={"ledger_handlers": HANDLERS}) as gateway:
        desk = Desk(gateway)
        (tmp_path / "broken").touch()
        desk.send("evt_dead")
        desk.becomes("evt_dead", "dead")
        assert gateway.stop() == OK

    assert desk.states("evt_dead") == ["dead"]
    assert desk.row("routers", "list")["running"] is False
    assert desk.row("dead", "retry", "ledger", "--all")["retried"] == 1
    assert desk.states("evt_dead") == ["retrying"]
    assert desk.row("routers", "pause", "ledger")["paused"] == "operator"
    assert desk.row("routers", "resume", "ledger")["paused"] == ""
    assert desk("send", "stripe").status == UNREACHABLE
    shutil.rmtree(tmp_path / "var")
    assert desk("events", "list").status == UNREACHABLE
