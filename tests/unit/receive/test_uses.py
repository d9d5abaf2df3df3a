"""When secrets were last used: noted at once, kept over restarts, shared by edges, and never a secret in the file."""

import asyncio
import logging
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.receive import uses
from gateway.receive.uses import FILE_NAME, FOLDER, LabelUses, Record, SecretUses, Use, mark_of, merged, read
from tests.asgi import call
from tests.edge import CountingMeter, DecidedLog, build_edge, until

SALT = "00" * 16
HOUR_US = 3_600 * 10**6
NOW_US = 1_000 * HOUR_US
TEXTS = {"new": "the new secret", "old": "the old secret"}
MARKS = {"acme": {"new": "aa", "old": "bb"}}


def make(folder: Path | None, texts: dict[str, str] | None = None) -> tuple[SecretUses, LabelUses]:
    noted = LabelUses()
    return SecretUses(folder, {"acme": noted}, lambda name: TEXTS if texts is None else texts), noted


def kept(folder: Path) -> dict[str, Use]:
    found = read(folder)
    assert found is not None
    return found.sources["acme"]


async def test_uses_are_kept_and_added_up_over_restarts(tmp_path):
    for count, at_us in ((2, 5), (3, 9)):
        secret_uses, noted = make(tmp_path)
        for _ in range(count):
            noted.note("new", at_us)
        await secret_uses.flush()
        await secret_uses.flush()

    found = kept(tmp_path)
    assert (found["new"].last_us, found["new"].count) == (9, 5)
    assert (found["old"].last_us, found["old"].count) == (0, 0)
    assert secret_uses.last("acme") == {"new": 9e-6}


async def test_edges_that_share_a_machine_share_the_record(tmp_path):
    edges = [make(tmp_path) for _ in range(4)]
    for number, (_, noted) in enumerate(edges):
        noted.note("old", 100 - number)

    await asyncio.gather(*(secret_uses.flush() for secret_uses, _ in edges))

    assert (kept(tmp_path)["old"].last_us, kept(tmp_path)["old"].count) == (100, 4)


async def test_the_file_has_no_secret_and_is_for_its_owner_alone(tmp_path):
    secret_uses, _ = make(tmp_path)
    former = os.umask(0)

    await secret_uses.flush()

    os.umask(former)
    path = tmp_path / FOLDER / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(text in path.read_text() for text in TEXTS.values())
    assert len(kept(tmp_path)["old"].mark) == 4


def test_a_record_goes_on_while_somebody_watches():
    former = Record(SALT, NOW_US, {"acme": {"old": Use(1, 7, 3, "bb")}})

    found = merged(former, MARKS, {"acme": {"old": (9, 2)}}, NOW_US + HOUR_US // 2)

    assert found.sources["acme"]["old"] == Use(1, 9, 5, "bb")
    assert found.sources["acme"]["new"] == Use(NOW_US + HOUR_US // 2, 0, 0, "aa")


def test_an_hour_that_nobody_watched_begins_it_anew_and_keeps_when_it_was_used():
    former = Record(SALT, NOW_US, {"acme": {"old": Use(1, 7, 3, "bb")}})

    found = merged(former, MARKS, {}, NOW_US + HOUR_US + 1)

    assert found.sources["acme"]["old"] == Use(NOW_US + HOUR_US + 1, 7, 3, "bb")


def test_another_secret_under_the_label_begins_a_record_of_its_own():
    former = Record(SALT, NOW_US, {"acme": {"old": Use(1, 7, 3, "another")}})

    assert merged(former, MARKS, {}, NOW_US + 1).sources["acme"]["old"] == Use(NOW_US + 1, 0, 0, "bb")


def test_a_label_that_is_configured_no_more_is_forgotten_and_its_namesake_begins_anew():
    former = Record(SALT, NOW_US, {"acme": {"older": Use(1, 7, 3, "cc")}, "gone": {"old": Use(1)}})
    without = merged(former, MARKS, {}, NOW_US + 1)

    again = merged(without, {"acme": {"older": "cc"}}, {}, NOW_US + 2)

    assert set(without.sources) == {"acme"}
    assert again.sources["acme"] == {"older": Use(NOW_US + 2, 0, 0, "cc")}


def test_a_use_that_is_told_late_moves_nothing_back():
    former = Record(SALT, NOW_US, {"acme": {"old": Use(1, 9, 3, "bb")}})

    assert merged(former, MARKS, {"acme": {"old": (5, 1)}}, NOW_US).sources["acme"]["old"].last_us == 9


def test_marks_tell_secrets_apart_and_differ_from_machine_to_machine():
    assert mark_of("one", SALT) == mark_of("one", SALT)
    assert mark_of("one", SALT) != mark_of("two", SALT)
    assert mark_of("one", SALT) != mark_of("one", "11" * 16)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"salt": 5}', b"x" * (uses.LARGEST + 1)])
async def test_a_damaged_file_is_a_record_that_begins_now(tmp_path, data):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / FILE_NAME).write_bytes(data)
    began_us = time.time_ns() // 1000
    secret_uses, _ = make(tmp_path)

    await secret_uses.flush()

    assert kept(tmp_path)["old"].since_us >= began_us


async def test_what_could_not_be_written_is_written_the_next_time(tmp_path, monkeypatch, caplog):
    secret_uses, noted = make(tmp_path)
    noted.note("new", 5)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, logger="gateway.receive"):
        patched.setattr(uses, "replace_durably", full)
        await secret_uses.flush()
    await secret_uses.flush()

    assert [record.getMessage() for record in caplog.records] == ["uses.not_written"]
    assert kept(tmp_path)["new"].count == 1


async def test_without_a_folder_they_are_known_in_memory_alone():
    secret_uses, noted = make(None)
    noted.note("new", 5_000_000)

    await secret_uses.flush()

    assert secret_uses.last("acme") == {"new": 5.0}


async def test_the_edge_notes_what_verified_a_delivery_and_writes_it_down_at_its_end(tmp_path):
    edge = build_edge(DecidedLog(), CountingMeter(), kept=tmp_path)
    house = asyncio.create_task(edge.keep_house())
    await until(lambda: read(tmp_path) is not None)
    began = time.time()
    await call(edge, [b"body"], headers=[(b"x-signature", b"no")])
    none = dict(edge.secrets_used()["acme"])

    await call(edge)
    await call(edge, [b"challenge"])
    told = edge.secrets_used()
    house.cancel()
    await asyncio.gather(house, return_exceptions=True)

    assert none == {}
    assert told["acme"]["only"] >= began
    assert kept(tmp_path)["only"].count == 2
