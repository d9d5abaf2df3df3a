"""`gateway pair` where no edge runs: what it refuses, and what it says."""

from pathlib import Path

import pytest

from gateway.receive import paired
from tests.commands import Commands, folder_with_config


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.chdir(folder_with_config(tmp_path))
    return Commands(tmp_path, capsys)


@pytest.mark.parametrize(
    "words,status,said",
    [
        pytest.param(("acme", "--for", "soon"), 2, "a duration", id="no time"),
        pytest.param(("acme", "--for", "2d"), 2, "24h", id="too long"),
        pytest.param(("acme", "--for", "0s"), 2, "24h", id="no time at all"),
        pytest.param(("acme", "--show", "--close"), 2, "one of", id="two wishes"),
        pytest.param(("nobody",), 2, "configured: acme", id="unknown source"),
        pytest.param(("acme",), 3, "no edge", id="nothing runs"),
        pytest.param(("acme", "--reveal"), 1, "not been paired", id="no secret"),
    ],
)
def test_what_cannot_be_done_is_said(command, words, status, said):
    ran = command("pair", *words)

    assert (ran.status, said in ran.err) == (status, True), ran.err


def test_the_secret_is_shown_only_when_asked_for_with_how_to_use_it_elsewhere(command):
    paired.replace_secret(Path("var"), "acme", "a-late-secret", former=None)

    quiet, revealed = command("pair", "acme", "--show"), command("pair", "acme", "--reveal", "--output", "json")

    assert "a-late-secret" not in quiet.out + quiet.err
    assert "a-late-secret" in revealed.out
    assert "sources.acme.secrets: [{label: acme, file: PATH}]" in revealed.err


def test_a_damaged_secret_is_named_by_its_file(command):
    path = paired.secret_path(Path("var"), "acme")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff")

    ran = command("pair", "acme", "--reveal")

    assert ran.status == 3
    assert "var/paired/acme" in ran.err
