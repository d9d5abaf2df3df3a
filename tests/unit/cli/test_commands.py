"""Each command against a small real folder with no gateway running."""

import hashlib
import json
import signal
import subprocess
import sys

import pytest

from tests.commands import (
    HOSTILE,
    Commands,
    admitted,
    body,
    first_done_second_dead,
    folder_with_config,
    settings_of,
    store,
    with_state,
)

TIMES = ("2026-09-21T14:13:20.000000Z", "2026-09-21T14:13:21.000000Z", "2026-09-21T14:13:22.000000Z")


@pytest.fixture
def empty(tmp_path, monkeypatch, capsys):
    """A configured folder in which nothing has ever run."""
    folder = folder_with_config(tmp_path / "gateway")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "billing_handlers", raising=False)
    return Commands(folder, capsys)


@pytest.fixture
def gateway(empty):
    """The same with three stored events; the first is done by one handler, the second a dead letter of it."""
    settings = settings_of(empty.folder)
    ids = [("evt_1", "invoice.paid"), ("evt_2", "customer.created"), (HOSTILE.replace("\x1b", ""), "invoice.paid")]
    store(settings, [admitted(settings, number, *named) for number, named in enumerate(ids)])
    with_state(settings, first_done_second_dead)
    return empty


def test_events_are_listed_the_newest_first_with_all_their_fields(gateway):
    rows = gateway.lines("events", "list")

    assert [row["received_at"] for row in rows] == list(reversed(TIMES))
    oldest = rows[-1]
    assert {key: oldest[key] for key in ("source", "id", "type", "time", "received_at", "key", "body_sha256")} == {
        "source": "acme",
        "id": "evt_1",
        "type": "invoice.paid",
        "time": TIMES[0],
        "received_at": TIMES[0],
        "key": "c0",
        "body_sha256": hashlib.sha256(body(0, "evt_1")).hexdigest(),
    }


@pytest.mark.parametrize(
    "words, count",
    [
        (("--type", "invoice.paid"), 2),
        (("--type", "invoice.other"), 0),
        (("--source", "acme"), 3),
        (("--key", "c1"), 1),
        (("--since", TIMES[1]), 2),
        (("--until", TIMES[1]), 1),
        (("--since", TIMES[1], "--until", TIMES[2]), 1),
        (("--since", "1h"), 0),
        (("--limit", "2"), 2),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else str(words),
)
def test_events_are_chosen_by_filters(gateway, words, count):
    assert len(gateway.lines("events", "list", *words)) == count


def test_json_is_one_array(gateway):
    ran = gateway("events", "list", "--output", "json")

    assert [row["type"] for row in json.loads(ran.out)] == ["invoice.paid", "customer.created", "invoice.paid"]


def test_a_table_shows_what_strangers_wrote_with_escapes(gateway):
    ran = gateway("events", "list")

    assert "evt_[2J\\u202e" in ran.out
    assert "\u202e" not in ran.out
    assert " ".join(ran.out.splitlines()[0].split()) == "received at source type id key body bytes flags"


def test_json_escapes_what_could_steer_a_terminal(gateway):
    ran = gateway("events", "list", "--output", "jsonl")

    assert ran.out.isascii()
    assert any(row["id"] == "evt_[2J\u202e" for row in ran.rows)


def test_raw_is_the_exact_body_and_nothing_else(empty):
    settings = settings_of(empty.folder)
    raw = b'\xff\x00{"id": "evt_raw"\r\n'
    store(settings, [admitted(settings, 0, "", raw=raw)])
    (row,) = empty.lines("events", "list")

    words = [sys.executable, "-m", "gateway", "events", "show", "acme", row["id"], "--raw"]
    ran = subprocess.run(words, cwd=empty.folder, capture_output=True, timeout=60, check=True)

    assert ran.stdout == raw


def test_show_gives_each_handlers_state(gateway):
    (first,) = gateway.lines("events", "show", "acme", "evt_1")
    (second,) = gateway.lines("events", "show", "acme", "evt_2")

    states = [[(row["handler"], row["state"]) for row in shown["handlers"]] for shown in (first, second)]
    assert states == [[("record-invoice", "pending"), ("notify", "done")], [("notify", "dead")]]
    assert first["body"] == body(0, "evt_1").decode()
    assert first["verified_by"] == "dev"


def test_tail_prints_what_is_stored_and_then_what_comes(gateway):
    settings = settings_of(gateway.folder)
    words = [sys.executable, "-m", "gateway", "events", "tail", "--since", TIMES[1], "--output", "jsonl"]

    with subprocess.Popen(words, cwd=gateway.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        stored = [json.loads(tail.stdout.readline())["received_at"] for _ in range(2)]
        store(settings, [admitted(settings, 9, "evt_later")])
        came = json.loads(tail.stdout.readline())["id"]
        tail.send_signal(signal.SIGINT)
        status = tail.wait(30)

    assert (stored, came, status) == ([TIMES[1], TIMES[2]], "evt_later", 130)


def test_an_event_that_is_not_stored_fails(gateway):
    ran = gateway("events", "show", "acme", "evt_9")

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "gateway: no such event is stored; `gateway events list` shows those that are\n"


def test_dead_letters_are_listed_and_shown(gateway):
    (row,) = gateway.lines("dead", "list")
    (shown,) = gateway.lines("dead", "show", "billing", str(row["number"]))

    assert {key: row[key] for key in ("router", "handler", "reason", "source", "id", "attempts")} == {
        "router": "billing",
        "handler": "notify",
        "reason": "gave_up",
        "source": "acme",
        "id": "evt_2",
        "attempts": 3,
    }
    assert shown["trace"] == "Traceback\x1b[2J\n  line"


def test_a_trace_does_not_steer_the_terminal(gateway):
    number = gateway.lines("dead", "list")[0]["number"]

    ran = gateway("dead", "show", "billing", str(number))

    assert "\x1b" not in ran.out
    assert "Traceback\\x1b[2J" in ran.out


@pytest.mark.parametrize("words", [("retry", "billing", "77"), ("purge", "billing", "77", "--yes")], ids=" ".join)
def test_a_number_of_no_dead_letter_ends_with_1(gateway, words):
    ran = gateway("dead", *words)

    assert ran.status == 1
    assert "not there: 1 of the numbers" in ran.err


def test_dead_letters_are_retried_without_a_running_gateway(gateway):
    number = gateway.lines("dead", "list")[0]["number"]

    assert gateway.lines("dead", "retry", "billing", str(number)) == [{"router": "billing", "retried": 1}]

    assert gateway.lines("dead", "list") == []
    (event,) = gateway.lines("events", "show", "acme", "evt_2")
    assert {row["handler"]: row["state"] for row in event["handlers"]} == {"notify": "retrying"}


def test_purging_needs_a_yes_and_then_forgets(gateway):
    refused = gateway("dead", "purge", "billing", "--all")
    assert refused.status == 2
    assert len(gateway.lines("dead", "list")) == 1

    assert gateway.lines("dead", "purge", "billing", "--all", "--yes") == [{"router": "billing", "purged": 1}]

    assert gateway.lines("dead", "list") == []


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("1", "--reason", "gave_up")], ids=str)
def test_dead_letters_to_change_must_be_named_one_way(gateway, words):
    assert gateway("dead", "retry", "billing", *words).status == 2


def test_dead_letters_are_chosen_by_reason(gateway):
    assert gateway.lines("dead", "retry", "billing", "--all", "--reason", "crashed")[0]["retried"] == 0
    assert gateway.lines("dead", "retry", "billing", "--all", "--reason", "gave_up")[0]["retried"] == 1


def test_a_router_is_paused_and_resumed_durably(gateway):
    assert gateway.lines("routers", "pause", "billing") == [{"router": "billing", "paused": "operator"}]
    assert gateway.lines("routers", "list")[0]["paused"] == "operator"

    assert gateway.lines("routers", "resume", "billing") == [{"router": "billing", "paused": ""}]
    assert gateway.lines("routers", "list")[0]["paused"] == ""


def test_routers_are_listed_with_their_numbers(gateway):
    (row,) = gateway.lines("routers", "list")

    assert {key: row[key] for key in ("router", "use", "running", "backlog", "retries", "dead", "gap")} == {
        "router": "billing",
        "use": "billing_handlers:router",
        "running": False,
        "backlog": 3,
        "retries": 0,
        "dead": 1,
        "gap": 0,
    }


def test_a_forgotten_router_has_no_state_left(gateway):
    refused = gateway("routers", "forget", "billing")
    assert refused.status == 2

    assert gateway.lines("routers", "forget", "billing", "--yes") == [{"router": "billing", "state": "forgotten"}]

    assert gateway.lines("dead", "list") == []
    assert list((gateway.folder / "var/state").glob("*.db")) == []


def test_a_dry_replay_counts_and_changes_nothing(gateway):
    rows = gateway.lines("replay", "--router", "billing", "--type", "invoice.paid", "--dry-run")

    assert rows == [{"router": "billing", "events": 2, "state": "counted"}]


def test_a_replay_without_a_worker_waits_for_one(gateway):
    (row,) = gateway.lines("replay", "--router", "billing", "--since", TIMES[1])

    assert {key: row[key] for key in ("router", "state", "handed", "total")} == {
        "router": "billing",
        "state": "waiting",
        "handed": 0,
        "total": 2,
    }


def test_a_forced_replay_asks_first(gateway):
    assert gateway("replay", "--router", "billing", "--mode", "force").status == 2
    assert gateway.lines("replay", "--router", "billing", "--mode", "force", "--yes")[0]["state"] == "waiting"


def test_a_replay_of_an_unknown_router_names_the_known_ones(gateway):
    ran = gateway("replay", "--router", "biling")

    assert ran.status == 2
    assert "configured: billing" in ran.err


@pytest.mark.parametrize(
    "given, said",
    [
        (
            "record-invoise",
            "has no handler record-invoise; it has: record-invoice, notify; did you mean record-invoice?",
        ),
        ("zzz", "has no handler zzz; it has: record-invoice, notify"),
    ],
)
def test_a_replay_for_an_unknown_handler_names_the_nearest(gateway, given, said):
    ran = gateway("replay", "--router", "billing", "--handler", given)

    assert ran.status == 2
    assert said in " ".join(ran.err.split())


def test_a_replay_for_one_handler_is_taken(gateway):
    assert gateway.lines("replay", "--router", "billing", "--handler", "notify")[0]["state"] == "waiting"


def test_a_replay_goes_on_where_the_router_cannot_be_imported(gateway):
    (gateway.folder / "billing_handlers.py").write_text("import nowhere_at_all")
    ran = gateway("replay", "--router", "billing", "--handler", "anything", "--output", "jsonl")

    assert ran.status == 0
    assert "is not known here" in ran.err


def test_sources_are_listed_with_their_last_event(gateway):
    (row,) = gateway.lines("sources", "list")

    assert row == {
        "source": "acme",
        "provider": "custom",
        "url": "http://127.0.0.1:1/webhooks/acme",
        "secrets": ["dev"],
        "events": 3,
        "last_event": TIMES[2],
    }


def test_a_backup_can_be_read_like_the_original(gateway, monkeypatch, tmp_path):
    events = gateway.lines("events", "list")
    letters = gateway.lines("dead", "list")

    assert gateway("backup", str(tmp_path / "copy")).status == 0

    config = gateway.folder / "config/gateway.yaml"
    config.write_text(config.read_text().replace("log: {", f"log: {{path: {tmp_path / 'copy'}, "))
    assert gateway.lines("events", "list") == events
    assert gateway.lines("dead", "list") == letters


def test_a_backup_does_not_go_into_a_folder_with_something_in_it(gateway):
    assert gateway("backup", str(gateway.folder)).status == 2


def test_backup_shows_progress_as_json_lines(gateway, tmp_path):
    rows = gateway.lines("backup", str(tmp_path / "copy"))

    assert rows[-2]["progress"]["done"] == rows[-2]["progress"]["total"]
    assert rows[-1]["bytes"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ("events", "list"),
        ("events", "show", "acme", "x"),
        ("sources", "list"),
        ("dead", "list"),
        ("dead", "retry", "billing", "--all"),
        ("routers", "list"),
        ("routers", "pause", "billing"),
        ("replay", "--router", "billing"),
        ("rejections",),
        ("backup", "copy"),
    ],
    ids=" ".join,
)
def test_where_nothing_has_ever_run_each_command_ends_in_order(empty, words):
    ran = empty(*words)

    assert ran.status in (0, 1, 3)
    assert "Traceback" not in ran.err
    assert ran.out or ran.err


def test_no_secret_is_ever_shown(gateway):
    shown = [gateway("config", "show"), gateway("check"), gateway("sources", "list"), gateway("events", "list")]

    assert all("canary-secret" not in ran.out + ran.err for ran in shown)
