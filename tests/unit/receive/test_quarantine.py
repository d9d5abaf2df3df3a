"""What goes into quarantine, and what does not; that it costs bounded memory; and that it is nothing but kept."""

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.core.admission import Rejected
from gateway.receive import quarantine, quarantined
from gateway.receive.quarantined import Bounds
from tests.edge import BODY, hmac_admit, make_source, signature, until
from tests.outside import pairing_source
from tests.quarantine_rig import WRONG, Rig, body_of, deliver, entry_of, ids, put, signed
from tests.quarantine_rig import make as make_quarantined


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def flush(edge) -> None:
    await edge._equipment.quarantine.flush()


async def test_what_does_not_verify_is_kept_exactly_and_still_answered_401(rig):
    edge, body = rig.edge(), body_of("evt_1")
    headers = [*signed(body, 10**15, WRONG), (b"x-odd", b"one"), (b"x-odd", b"\xfftwo")]

    made = await deliver(edge, body, headers)
    await flush(edge)

    (rejection,) = edge.recent_rejections()
    kept = quarantined.read(rig.folder, "acme", entry_of(rig.folder, rejection.delivery_id))
    assert (made.status, made.word) == (401, "unverified")
    assert kept is not None
    assert (kept.body, list(kept.headers), kept.method, kept.query) == (body, headers, "POST", b"")
    assert (kept.reason, kept.client, kept.at_us) == ("signature_mismatch", "192.0.2.1", rejection.at_us)
    assert edge.quarantined() == {"acme": (1, 4096)}


async def test_without_being_asked_for_nothing_is_kept(rig):
    edge = rig.edge(quarantine={})

    await deliver(edge, BODY, [])
    await flush(edge)

    assert not (rig.folder / "quarantine").exists()


async def test_what_verifies_is_not_kept(rig):
    edge = rig.edge(source=make_source())

    made = await deliver(edge, BODY, [(b"x-signature", signature(BODY).encode())])
    await flush(edge)

    assert made.status == 200
    assert ids(rig.folder) == []


@pytest.mark.parametrize(
    "over,status",
    [
        pytest.param({"allow_ips": ("198.51.100.0/24",)}, 401, id="address"),
        pytest.param({"methods": frozenset({"PUT"})}, 405, id="method"),
        pytest.param({"max_body": 5}, 413, id="size"),
        pytest.param({"content_types": ("text/xml",)}, 415, id="content type"),
    ],
)
async def test_what_was_refused_before_it_was_verified_is_not_kept(rig, over, status):
    edge = rig.edge(source=make_source(**over))

    made = await deliver(edge, BODY, [(b"x-signature", b"no")])
    await flush(edge)

    assert made.status == status
    assert ids(rig.folder) == []


async def test_what_is_refused_though_a_signature_held_is_not_kept(rig):
    source = make_source(id_is_signed=False, on_replay="refuse", admit=hmac_admit(id_is_signed=False))
    edge, proof = rig.edge(source=source), (b"x-signature", signature(BODY).encode())
    await deliver(edge, BODY, [proof, (b"x-id", b"first")])

    made = await deliver(edge, BODY, [proof, (b"x-id", b"second")])
    await flush(edge)

    assert made.status == 401
    assert ids(rig.folder) == []


async def test_a_verified_batch_that_is_too_large_is_not_kept(rig):
    edge = rig.edge(source=make_source(admit=lambda request, now_us: Rejected("batch_too_large")))

    made = await deliver(edge, BODY, [])
    await flush(edge)

    assert made.status == 401
    assert ids(rig.folder) == []


async def test_a_secret_that_a_stranger_offers_is_not_kept(rig):
    edge = rig.edge(source=pairing_source())

    made = await deliver(edge, b"", [(b"x-hook-secret", b"an offered secret")])
    await flush(edge)

    assert made.status == 401
    assert ids(rig.folder) == []


async def test_of_a_client_with_too_many_failures_the_rest_is_not_kept(rig):
    edge = rig.edge(failed_rate=0.1)

    answered = [await deliver(edge, BODY, []) for _ in range(20)]
    await flush(edge)

    assert [made.status for made in answered] == [401] * 6 + [429] * 14
    assert len(ids(rig.folder)) == 6
    assert rig.meter.counts["acme", "quarantine_lost"] == 14


async def test_nothing_of_it_is_judged_stored_or_seen_again_until_it_is_readmitted(rig):
    edge = rig.edge(WRONG)
    for number in range(3):
        await deliver(edge, body_of(f"evt_{number}"), signed(body_of(f"evt_{number}"), 10**15))
    await flush(edge)

    restarted = rig.edge()
    await restarted._equipment.quarantine._sweep(rig.folder)

    assert len(ids(rig.folder)) == 3
    assert rig.judged == 3
    assert rig.log.appends == 0


@pytest.mark.parametrize(
    "bound,limit,size,kept",
    [pytest.param("MOST_WAITING", 5, 10, 5, id="count"), pytest.param("MOST_BYTES", 2_500, 1_000, 2, id="bytes")],
)
async def test_a_flood_fills_the_queue_and_the_rest_is_lost_and_counted(rig, monkeypatch, bound, limit, size, kept):
    monkeypatch.setattr(quarantine, bound, limit)
    edge = rig.edge(failed_rate=0)

    answered = [await deliver(edge, b"x" * size, []) for _ in range(30)]
    await flush(edge)
    for _ in range(2):
        await deliver(edge, b"x" * size, [])
    await flush(edge)

    assert {made.status for made in answered} == {401}
    assert len(ids(rig.folder)) == kept + 2
    assert rig.meter.counts["acme", "quarantine_lost"] == 30 - kept


async def test_one_that_is_larger_than_the_queue_is_still_taken_alone(rig, monkeypatch):
    monkeypatch.setattr(quarantine, "MOST_BYTES", 100)
    edge = rig.edge()

    await deliver(edge, b"x" * 500, [])
    await flush(edge)

    assert len(ids(rig.folder)) == 1


async def test_the_bounds_are_those_of_the_source(rig):
    edge = rig.edge(quarantine={"acme": Bounds(max_bytes=3 * 4096, max_age=3600.0)}, failed_rate=0)

    for _ in range(5):
        await deliver(edge, b"x", [])
        await flush(edge)

    assert len(ids(rig.folder)) == 3
    assert edge.quarantined() == {"acme": (3, 3 * 4096)}


async def test_a_disk_that_takes_nothing_costs_the_delivery_and_is_said(rig, monkeypatch, caplog):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quarantined, "replace_whole", full)
    edge = rig.edge()

    with caplog.at_level(logging.INFO, logger="gateway.receive"):
        made = await deliver(edge, BODY, [])
        await flush(edge)

    assert made.status == 401
    assert rig.meter.counts["acme", "quarantine_lost"] == 1
    assert [record.getMessage() for record in caplog.records] == ["quarantine.lost"]


async def test_the_house_keeping_writes_and_sweeps_and_writes_what_is_left_at_the_end(rig, monkeypatch):
    monkeypatch.setattr(quarantine, "_FLUSH_SECONDS", 0.01)
    put(rig.folder, make_quarantined(1), make_quarantined(1, source="former"))
    edge = rig.edge()
    house = asyncio.create_task(edge.keep_house())
    await until(lambda: ids(rig.folder) == [] and ids(rig.folder, "former") == [])
    await deliver(edge, BODY, [])
    await until(lambda: len(ids(rig.folder)) == 1)

    await deliver(edge, BODY, [])
    house.cancel()
    await until(house.done)

    assert len(ids(rig.folder)) == 2


async def test_what_is_kept_is_known_after_a_restart(rig):
    await deliver(edge := rig.edge(), BODY, [])
    await flush(edge)

    restarted = rig.edge()
    await restarted._equipment.quarantine._sweep(rig.folder)

    assert restarted.quarantined() == {"acme": (1, 4096)}


async def test_a_folder_that_cannot_be_swept_keeps_no_other_from_it(rig):
    await deliver(edge := rig.edge(), BODY, [])
    await flush(edge)
    (rig.folder / quarantined.FOLDER / "aaa").write_text("no folder")

    restarted = rig.edge()
    await restarted._equipment.quarantine._sweep(rig.folder)

    assert restarted.quarantined() == {"acme": (1, 4096)}
