"""`gateway secrets`: whether an old secret can go, which it never says too early, and no secret in what it prints."""

from pathlib import Path
from time import time_ns

import msgspec
import pytest

from gateway.cli.secret_uses import Watch, verdict
from gateway.receive.files import replace_durably
from gateway.receive.uses import FILE_NAME, FOLDER, Record, Use
from tests.commands import CONFIG, Commands, folder_with_config

DAY = 86_400.0
DAY_US = 86_400 * 10**6
NOW_US = 1_000 * DAY_US


def told(old: Use | None, new: Use | None = None, *, seen_us: int = NOW_US, horizon: float = 33 * DAY) -> str:
    """The verdict on `old`, of a provider that may send an event again for 33 days, with `new` in use just now."""
    newer = new or Use(1, NOW_US - 1, 9)
    known = {"new": newer} if old is None else {"new": newer, "old": old}
    return verdict("old", Watch(known, horizon, seen_us, NOW_US), alone=False)


def days_ago(number: float) -> int:
    return NOW_US - int(number * DAY_US)


def test_what_was_not_used_for_longer_than_anything_may_come_again_can_be_removed():
    assert told(Use(days_ago(90), days_ago(34), 5)) == (
        "not used for 34d, longer than its provider retries and redelivers (33d): it can be removed"
    )


@pytest.mark.parametrize(
    "old,words",
    [
        pytest.param(Use(days_ago(90), days_ago(0.125), 5), "used 3h ago: keep it until", id="used of late"),
        pytest.param(Use(days_ago(90), days_ago(32.9), 5), "keep it until", id="one horizon has not passed"),
        pytest.param(Use(days_ago(10), days_ago(40), 5), "watched without a gap since", id="nobody watched"),
        pytest.param(Use(days_ago(10)), "too short to tell", id="a young record"),
        pytest.param(None, "not watched yet", id="no record"),
    ],
)
def test_it_is_kept_while_it_may_be_needed(old, words):
    said = told(old)

    assert words in said
    assert "can be removed" not in said
    assert "it can go" not in said


def test_silence_of_all_secrets_says_nothing_about_one():
    said = told(Use(days_ago(90), days_ago(40), 5), Use(days_ago(90), days_ago(50), 3))

    assert said == "not used for 40d, and neither is any other: nothing tells yet"


def test_time_in_which_no_edge_ran_is_no_silence():
    said = told(Use(days_ago(90), days_ago(40), 5), Use(1, days_ago(31)), seen_us=days_ago(30))

    assert "keep it until" in said


def test_one_never_used_may_be_the_new_one():
    said = told(Use(days_ago(90)))

    assert said.startswith("never used since")
    assert said.endswith("it can go, unless it is yet to be used")


def test_the_only_secret_is_kept_whatever_became_of_it():
    assert verdict("old", Watch({}, DAY, NOW_US, NOW_US), alone=True) == "the only one: keep it"


TWO = CONFIG.replace(
    "[{dev: canary-secret}]", "[{dev: canary-secret}, {label: old, file: old.txt}, {label: env, env: NOT_SET_HERE}]"
)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Commands:
    folder = folder_with_config(tmp_path / "gateway", TWO)
    monkeypatch.chdir(folder)
    (folder / "old.txt").write_text("canary-old")
    return Commands(folder, capsys)


def record(folder: Path, **labels: Use) -> None:
    written = Record("00" * 16, time_ns() // 1000, {"acme": labels})
    replace_durably(folder / "var" / FOLDER / FILE_NAME, msgspec.json.encode(written))


def test_each_secret_is_told_with_where_it_comes_from_and_its_uses(command):
    now_us = time_ns() // 1000
    record(
        command.folder,
        dev=Use(now_us - 60 * DAY_US, now_us - 10**6, 7, "aa"),
        old=Use(now_us - 60 * DAY_US, now_us - 40 * DAY_US, 3, "bb"),
        env=Use(now_us - DAY_US, 0, 0, "cc"),
    )

    rows = {row["secret"]: row for row in command.lines("secrets", "acme")}

    assert {label: (row["from"], row["uses"]) for label, row in rows.items()} == {
        "dev": ("dev", 7),
        "old": ("file", 3),
        "env": ("not set here", 0),
    }
    assert "can be removed" in rows["old"]["verdict"]
    assert rows["dev"]["last_used"] is not None


def test_neither_a_secret_nor_its_mark_is_shown_and_other_machines_are_named(command):
    record(command.folder, dev=Use(1, 2, 3, "beef"))

    ran = command("secrets")

    assert ran.status == 0
    assert "canary" not in ran.out + ran.err
    assert "beef" not in ran.out + ran.err
    assert "max by (source, secret) (gateway_secret_last_used_timestamp_seconds)" in ran.err


def test_without_a_record_or_a_source_it_says_what_to_do(command):
    ran, unknown = command("secrets"), command("secrets", "nobody")

    assert (ran.status, unknown.status) == (0, 2)
    assert "start the gateway" in ran.err
    assert "configured: acme" in unknown.err
