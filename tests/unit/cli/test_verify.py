"""`gateway verify`: the verdict on a saved request, its exit status, and no secret in what is printed."""

import sys
from pathlib import Path

import pytest

from gateway.core.source import SignRequest
from gateway.wiring.sources import sources
from tests.commands import Commands, folder_with_config, settings_of

BODY = b'{"id": "evt_1", "type": "invoice.paid", "at": 1}'


@pytest.fixture
def empty(tmp_path, monkeypatch, capsys):
    folder = folder_with_config(tmp_path / "gateway")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Commands(folder, capsys)


def saved(commands: Commands, body: bytes = BODY) -> str:
    """Save a genuine delivery, with that body in place of the signed one."""
    sign = sources(settings_of(commands.folder))["acme"].sign
    assert sign is not None
    signed = sign(SignRequest(body=BODY, now_us=1, event_id="evt_1", event_type="invoice.paid"))
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
    path = commands.folder / "request.http"
    path.write_bytes(f"POST /webhooks/acme HTTP/1.1\r\n{head}\r\n".encode() + body)
    return str(path)


def test_a_genuine_request_is_accepted_and_its_events_are_named(empty):
    ran = empty("verify", "acme", saved(empty), "--output", "json")

    assert ran.status == 0
    assert '"verdict": "accepted"' in ran.out
    assert "invoice.paid evt_1" in ran.out


def test_an_altered_request_is_refused_with_its_cause_and_without_the_secret(empty):
    ran = empty("verify", "acme", saved(empty, BODY + b"\n"))

    assert ran.status == 1
    assert "signature_mismatch" in ran.out
    assert "without the newline at its end" in ran.out
    assert "canary-secret" not in ran.out + ran.err


def test_the_exact_body_can_be_given_apart(empty):
    (empty.folder / "body.json").write_bytes(BODY)

    assert empty("verify", "acme", saved(empty, b""), "--body", str(empty.folder / "body.json")).status == 0


def test_a_body_that_is_not_as_long_as_was_said_is_remarked_on(empty):
    whole = saved(empty)
    ran = empty("verify", "acme", whole)
    text = Path(whole).read_bytes()
    head, _, body = text.partition(b"\r\n\r\n")
    Path(whole).write_bytes(head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body[:-1])
    cut = empty("verify", "acme", whole)

    assert "content-length" not in ran.err
    assert f"content-length says {len(body)} bytes, the body here has {len(body) - 1}" in cut.err


def test_what_is_no_request_and_what_is_no_source_are_bad_input(empty):
    (empty.folder / "nonsense").write_text("nonsense")

    ran = empty("verify", "acme", str(empty.folder / "nonsense"))
    unknown = empty("verify", "acmee", saved(empty))

    assert (ran.status, unknown.status) == (2, 2)
    assert "save it as HTTP" in ran.err
    assert "acme" in unknown.err
