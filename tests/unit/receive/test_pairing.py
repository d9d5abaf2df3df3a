"""Secrets that come at run time: taken only from an open source, durable before the answer, shared by one machine."""

import asyncio
import os
import stat
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DependencyError, GatewayError
from gateway.receive import files, paired, pairing
from gateway.receive.app import Edge
from tests.asgi import Call, call
from tests.edge import CountingMeter, DecidedLog, build_edge, make_source, until
from tests.outside import housed, pairing_source, recompile, secret_signature

SECRET = "a-secret-that-came-by-itself"
OTHER = "another-secret"


@dataclass
class Pairing:
    """Edges on one folder, as `serve --workers` has them."""

    folder: Path
    meter: CountingMeter = field(default_factory=CountingMeter)

    def edge(self, **over: Any) -> Edge:
        return build_edge(
            DecidedLog(), self.meter, pairing_source(**over), recompile=recompile, kept=self.folder, rejections=None
        )

    def refused(self, reason: str) -> int:
        return self.meter.counts["acme", "refused", reason]

    @property
    def stored(self) -> str | None:
        return paired.read_secret(self.folder, "acme")


@pytest.fixture
def rig(tmp_path: Path) -> Pairing:
    return Pairing(tmp_path)


async def handshake(edge: Edge, secret: str = SECRET) -> Call:
    return await call(edge, [b""], headers=[(b"x-hook-secret", secret.encode())])


async def deliver(edge: Edge, secret: str = SECRET) -> Call:
    return await call(edge, headers=secret_signature(secret))


async def test_a_source_that_is_not_open_takes_no_secret(rig):
    edge = rig.edge()

    made = await handshake(edge)

    assert (made.status, made.word) == (401, "unverified")
    assert rig.refused("pairing_closed") == 1
    assert rig.stored is None
    assert (await deliver(edge)).status == 401


async def test_an_open_source_takes_the_secret_and_verifies_by_it(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)

    made = await handshake(edge)

    assert made.status == 200
    assert made.headers[b"x-hook-secret"] == SECRET.encode()
    assert rig.stored == SECRET
    assert (await deliver(edge)).status == 200
    assert [each.text for each in edge.pairings.in_use()["acme"]] == [SECRET]


async def test_the_file_is_for_its_owner_alone(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    former = os.umask(0)

    await handshake(edge)

    os.umask(former)
    path = paired.secret_path(rig.folder, "acme")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {each.name for each in path.parent.iterdir()} == {"acme", ".lock"}


async def test_the_first_secret_closes_the_source(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    await handshake(edge)

    second = await handshake(edge, OTHER)

    assert second.status == 401
    assert rig.stored == SECRET
    assert edge.pairings.state("acme") == {"open_seconds": 0, "paired": True}


async def test_of_two_secrets_at_once_one_is_taken(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)

    first, second = await asyncio.gather(handshake(edge), handshake(edge, OTHER))

    assert sorted([first.status, second.status]) == [200, 401]
    accepted = SECRET if first.status == 200 else OTHER
    assert rig.stored == accepted
    assert (await deliver(edge, accepted)).status == 200


async def test_the_same_secret_twice_at_once_is_answered_twice(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)

    first, second = await asyncio.gather(handshake(edge), handshake(edge))

    assert (first.status, second.status) == (200, 200)


async def test_the_window_closes_when_its_time_is_up_whatever_the_wall_clock_does(rig, monkeypatch):
    edge = rig.edge()
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    edge.pairings.open("acme", 60)
    assert edge.pairings.state("acme") == {"open_seconds": 60, "paired": False}

    now += 61

    assert (await handshake(edge)).status == 401
    assert edge.pairings.state("acme")["open_seconds"] == 0


async def test_a_source_can_be_closed_by_hand(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    edge.pairings.close("acme")

    assert (await handshake(edge)).status == 401


async def test_pairing_again_replaces_the_secret(rig):
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    await handshake(edge)
    edge.pairings.open("acme", 60)

    again = await handshake(edge, OTHER)

    assert again.status == 200
    assert rig.stored == OTHER
    assert [(await deliver(edge, secret)).status for secret in (SECRET, OTHER)] == [401, 200]


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("unfit-for-the-provider", id="of another kind"),
        pytest.param("x" * 5_000, id="endless"),
        pytest.param("two\twords", id="control character"),
        pytest.param(" padded ", id="white space"),
    ],
)
async def test_what_can_be_no_secret_is_refused_and_leaves_the_source_open(rig, secret):
    edge = rig.edge()
    edge.pairings.open("acme", 60)

    made = await handshake(edge, secret)

    assert made.status == 401
    assert rig.stored is None
    assert (await handshake(edge)).status == 200


async def test_a_secret_that_cannot_be_stored_is_not_answered_and_the_source_stays_open(rig, monkeypatch):
    edge = rig.edge()
    edge.pairings.open("acme", 60)

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(paired, "replace_durably", full)
        made = await handshake(edge)

    assert (made.status, made.word) == (503, "unavailable")
    assert rig.refused("pairing_failed") == 1
    assert (await deliver(edge)).status == 401
    assert (await handshake(edge)).status == 200


async def test_nothing_is_answered_before_the_secret_is_durable(rig, monkeypatch):
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    written, asked = threading.Event(), threading.Event()
    replace = files.replace_durably

    def slow(path: Path, data: bytes) -> None:
        asked.set()
        written.wait(30)
        replace(path, data)

    monkeypatch.setattr(paired, "replace_durably", slow)
    answering = asyncio.create_task(handshake(edge))
    await until(asked.is_set)

    assert not answering.done()
    assert (await deliver(edge)).status == 401
    written.set()
    assert (await answering).status == 200


async def test_a_disk_slower_than_the_deadline_costs_the_answer_not_the_secret(rig, monkeypatch):
    edge = rig.edge(deadline=0.05)
    edge.pairings.open("acme", 60)
    written = threading.Event()
    replace = files.replace_durably

    def slow(path: Path, data: bytes) -> None:
        written.wait(30)
        replace(path, data)

    monkeypatch.setattr(paired, "replace_durably", slow)
    late = await handshake(edge)
    written.set()
    await until(lambda: edge.pairings.state("acme")["paired"])

    assert late.status == 503
    assert (await handshake(edge)).status == 200


async def test_after_a_crash_between_storing_and_answering_the_same_secret_is_answered(rig):
    first = rig.edge()
    first.pairings.open("acme", 60)
    await handshake(first)

    restarted = rig.edge()

    assert (await handshake(restarted)).status == 200
    assert (await handshake(restarted, OTHER)).status == 401
    assert (await deliver(restarted)).status == 200


async def test_a_stored_secret_is_in_use_from_the_start(rig):
    paired.replace_secret(rig.folder, "acme", SECRET, former=None)

    assert (await deliver(rig.edge())).status == 200


@pytest.mark.parametrize("data", [pytest.param(b"", id="empty"), pytest.param(b"\xff\xfe", id="no text")])
async def test_a_secret_that_cannot_be_read_makes_senders_come_again_until_it_can(rig, data, monkeypatch):
    monkeypatch.setattr(pairing, "LOOK_EVERY", 0.01)
    path = paired.secret_path(rig.folder, "acme")
    path.parent.mkdir()
    path.write_bytes(data)
    options = {"recompile": recompile, "kept": rig.folder}
    async with housed(DecidedLog(), rig.meter, pairing_source(), **options) as edge:
        refused = await deliver(edge)
        path.write_text(SECRET + "\n")
        await until(lambda: edge.pairings.state("acme")["paired"])

        assert (refused.status, refused.word) == (503, "unavailable")
        assert rig.refused("secret_unavailable") == 1
        assert (await deliver(edge)).status == 200
        assert (await deliver(edge, OTHER)).status == 401


async def test_a_folder_nobody_may_read_keeps_no_edge_from_starting(rig, monkeypatch):
    def forbidden(folder: Path, source: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(paired, "stamp_of", forbidden)
    edge = rig.edge()

    assert (await deliver(edge)).status == 503
    with pytest.raises(DependencyError, match="Permission denied"):
        edge.pairings.open("acme", 60)


async def test_of_several_edges_one_takes_the_secret_and_the_others_find_it(rig, monkeypatch):
    monkeypatch.setattr(pairing, "LOOK_EVERY", 0.01)
    options = {"recompile": recompile, "kept": rig.folder}
    async with (
        housed(DecidedLog(), rig.meter, pairing_source(), **options) as first,
        housed(DecidedLog(), rig.meter, pairing_source(), **options) as second,
    ):
        first.pairings.open("acme", 60)
        second.pairings.open("acme", 60)
        await handshake(first)
        await until(lambda: second.pairings.state("acme")["paired"])

        assert second.pairings.state("acme")["open_seconds"] == 0
        assert (await deliver(second)).status == 200


async def test_an_edge_that_has_not_looked_yet_does_not_take_a_second_secret(rig):
    first, second = rig.edge(), rig.edge()
    first.pairings.open("acme", 60)
    second.pairings.open("acme", 60)
    await handshake(first)

    late = await handshake(second, OTHER)

    assert late.status == 401
    assert rig.stored == SECRET


@pytest.mark.parametrize("data", [pytest.param(None, id="no file"), pytest.param(b"", id="an unreadable file")])
async def test_a_look_that_began_before_a_secret_was_taken_undoes_nothing(rig, data):
    if data is not None:
        paired.secret_path(rig.folder, "acme").parent.mkdir()
        paired.secret_path(rig.folder, "acme").write_bytes(data)
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    found = edge.pairings._found("acme")
    assert (await handshake(edge)).status == 200

    edge.pairings._take_up("acme", found)

    assert (await deliver(edge)).status == 200
    assert (await deliver(edge, OTHER)).status == 401


async def test_a_removed_file_ends_its_secret(rig, monkeypatch):
    monkeypatch.setattr(pairing, "LOOK_EVERY", 0.01)
    paired.replace_secret(rig.folder, "acme", SECRET, former=None)
    options = {"recompile": recompile, "kept": rig.folder}
    async with housed(DecidedLog(), rig.meter, pairing_source(), **options) as edge:
        paired.secret_path(rig.folder, "acme").unlink()
        await until(lambda: not edge.pairings.state("acme")["paired"])

        assert (await deliver(edge)).status == 401


def test_a_source_whose_provider_sends_no_secret_cannot_be_opened():
    edge = build_edge(DecidedLog(), CountingMeter(), make_source())

    for ask in (edge.pairings.close, edge.pairings.state, lambda name: edge.pairings.open(name, 60)):
        with pytest.raises(GatewayError, match="sends none"):
            ask("acme")


async def test_a_secret_stands_in_no_line_of_the_log(rig, caplog, monkeypatch):
    caplog.set_level("DEBUG")
    edge = rig.edge()
    edge.pairings.open("acme", 60)
    monkeypatch.setattr(paired, "replace_durably", _raising(OSError(28, SECRET)))
    await handshake(edge)
    monkeypatch.undo()
    await handshake(edge)

    assert any(record.msg == "pairing.paired" for record in caplog.records)
    assert not any(SECRET in str(vars(record)) for record in caplog.records if record.msg != "pairing.not_stored")
    assert SECRET not in repr(vars(edge.pairings))


def _raising(error: Exception) -> Any:
    def broken(*arguments: Any) -> None:
        raise error

    return broken


async def test_pairing_attempts_count_as_failures_of_their_client(rig):
    edge = rig.edge()
    answered: Sequence[Call] = [await handshake(edge) for _ in range(70)]

    assert [made.status for made in answered].count(429) == 10
