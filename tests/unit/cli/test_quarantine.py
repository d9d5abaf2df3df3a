"""`gateway quarantine` and `verify --quarantined` where no edge runs: what is shown, masked, refused and removed."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.source import SignRequest
from gateway.receive.quarantined import Quarantined
from gateway.receive.rejections import FILE_NAME, Rejection
from gateway.wiring.sources import sources
from tests.commands import Commands, folder_with_config, settings_of
from tests.quarantine_rig import entry_of, ids, make, put

BODY = b'{"id": "evt_1", "type": "invoice.paid", "at": 1}'
VAR = Path("var")


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(folder_with_config(tmp_path / "gateway"))
    return Commands(tmp_path / "gateway", capsys)


def genuine(command: Commands, number: int = 1, **over: Any) -> Quarantined:
    """A delivery that the configured secret signed."""
    sign = sources(settings_of(command.folder))["acme"].sign
    assert sign is not None
    signed = sign(SignRequest(body=BODY, now_us=1, event_id="evt_1", event_type="invoice.paid"))
    headers = tuple((name.encode(), value.encode()) for name, value in signed.headers.items())
    return make(number, **{"body": signed.body, "headers": headers, **over})


def rejected(delivery: Quarantined, cause: str) -> None:
    rejection = Rejection(
        at_us=delivery.at_us,
        delivery_id=delivery.id,
        source="acme",
        reason=delivery.reason,
        status=401,
        client=delivery.client,
        cause=cause,
    )
    with (VAR / FILE_NAME).open("ab") as file:
        file.write(msgspec.json.encode(rejection) + b"\n")


def test_the_list_has_the_newest_first_with_reason_and_cause(command):
    put(VAR, make(1), make(2), make(3, source="other"))
    rejected(make(2), "the body was altered")

    rows = command.lines("quarantine", "list")
    of_source = command.lines("quarantine", "list", "acme", "--limit", "1")

    assert [(row["source"], row["id"][-1], row["cause"]) for row in rows] == [
        ("other", "3", ""),
        ("acme", "2", "the body was altered"),
        ("acme", "1", ""),
    ]
    assert rows[1]["at"] == "1970-01-01T00:02:00.000000Z"
    assert (rows[1]["reason"], rows[1]["client"]) == ("signature_mismatch", "192.0.2.1")
    assert [row["id"][-1] for row in of_source] == ["2"]


def test_rejections_show_their_cause(command):
    VAR.mkdir()
    rejected(make(2), "the body was altered")

    assert command.lines("rejections")[0]["cause"] == "the body was altered"
    assert "the body was altered" in command("rejections").out


def test_an_empty_quarantine_is_no_error(command):
    without = command("quarantine", "list", "acme")
    path = command.folder / "config/gateway.yaml"
    path.write_text(path.read_text().replace("provider: custom\n", "provider: custom\n    quarantine: {}\n"))
    ran = command("quarantine", "list", "acme")

    assert (ran.status, ran.out, ran.err) == (0, "", "nothing is in quarantine\n")
    assert (without.status, without.out) == (0, "")
    assert "`quarantine: {}` is not in the configuration of acme" in without.err


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_is_shown_has_its_credentials_masked_unless_asked_for(command, form):
    headers = (
        (b"x-signature", b"canary-signature"),
        (b"authorization", b"Bearer canary-token"),
        (b"x-gitlab-token", b"canary-shared"),
        (b"user-agent", b"Hookshot\x1b[2J"),
    )
    put(VAR, make(1, headers=headers, query=b"token=canary-query"))

    masked = command("quarantine", "show", make(1).id, "--output", form)
    revealed = command("quarantine", "show", make(1).id, "--reveal", "--output", form)

    assert "canary" not in masked.out
    assert "Hookshot" in masked.out
    assert revealed.out.count("canary") == 4
    assert "\x1b" not in masked.out + revealed.out


def test_the_body_is_shown_exactly_as_json_and_harmless_as_text(command):
    put(VAR, make(1, body=b"one\r\n\xfftwo\xe2\x80\xae"))

    shown = json.loads(command("quarantine", "show", make(1).id, "--output", "json").out)
    drawn = command("quarantine", "show", make(1).id).out

    assert base64.b64decode(shown["body_base64"]) == b"one\r\n\xfftwo\xe2\x80\xae"
    assert "one" in drawn
    assert "\\u202e" in drawn


def test_readmission_without_a_gateway_says_to_start_it(command):
    put(VAR, make(1))

    ran = command("quarantine", "readmit", "acme")

    assert ran.status == 3
    assert "start it first" in ran.err
    assert len(ids(VAR)) == 1


def test_a_purge_asks_and_then_removes_what_was_named(command):
    put(VAR, make(1), make(2), make(3), make(4, source="other"))

    unasked = command("quarantine", "purge", "acme")
    one = command.lines("quarantine", "purge", make(2).id, "--yes")
    left = ids(VAR)
    all_of_source = command.lines("quarantine", "purge", "acme", "--yes")

    assert unasked.status == 2
    assert (one, all_of_source) == ([{"purged": 1}], [{"purged": 2}])
    assert [each[-1] for each in left] == ["1", "3"]
    assert (ids(VAR), len(ids(VAR, "other"))) == ([], 1)


@pytest.mark.parametrize(
    "words",
    [
        ("quarantine", "show", "nothing-like-it"),
        ("quarantine", "show", "../../config/gateway.yaml"),
        ("quarantine", "readmit", "0" * 26),
        ("quarantine", "purge", "acmee", "--yes"),
        ("verify", "acme", "--quarantined", "0" * 26),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said(command, words):
    ran = command(*words)

    assert ran.status == 1
    assert "gateway quarantine list" in ran.err


def test_one_that_a_power_cut_tore_is_named_with_the_remedy(command):
    put(VAR, make(1), make(2))
    (VAR / "quarantine/acme" / entry_of(VAR, make(1).id).name).write_bytes(b"")

    ran = command("quarantine", "show", make(1).id)

    assert ran.status == 3
    assert f"gateway quarantine purge {make(1).id}" in ran.err
    assert len(command.lines("quarantine", "list")) == 1
    assert command.lines("quarantine", "purge", make(1).id, "--yes") == [{"purged": 1}]


def test_verify_judges_a_delivery_in_quarantine_as_of_its_arrival(command):
    put(VAR, genuine(command, 1), genuine(command, 2, body=BODY + b"\n"))

    accepted = command("verify", "acme", "--quarantined", make(1).id, "--output", "json")
    refused = command("verify", "acme", "--quarantined", make(2).id, "--output", "json")

    assert (accepted.status, refused.status) == (0, 1)
    assert json.loads(accepted.out)["verdict"] == "accepted"
    assert "without the newline at its end" in refused.out


def test_verify_takes_either_a_file_or_a_delivery_in_quarantine(command):
    put(VAR, make(1, source="other"))
    (command.folder / "request.http").write_text("POST / HTTP/1.1\n\n")

    neither = command("verify", "acme")
    both = command("verify", "acme", "request.http", "--quarantined", make(1).id)
    another_source = command("verify", "acme", "--quarantined", make(1).id)

    assert (neither.status, both.status, another_source.status) == (2, 2, 1)
    assert "--quarantined ID" in neither.err
    assert "of source acme" in another_source.err
