"""Readmission: judged as of the arrival under the secrets of now, stored as any other, gone only once durable."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.core.admission import Handshake
from gateway.core.errors import GatewayError, Unavailable
from gateway.core.source import Ack
from gateway.receive import readmission
from tests.edge import hmac_admit, make_source, signature, until
from tests.outside import Host, answer, keyed_source, pairing_source
from tests.quarantine_rig import MINUTE_US, RIGHT, WRONG, Rig, body_of, deliver, ids, make, put, signed


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def proved(number: int, body: bytes, *headers: tuple[bytes, bytes]) -> Any:
    """A delivery to the source of `tests.edge`, whose signature holds."""
    return make(number, body=body, headers=((b"x-signature", signature(body).encode()), *headers))


async def test_once_the_secret_is_mended_a_delivery_is_stored_as_of_its_arrival_and_leaves(rig):
    put(rig.folder, make(1))

    told, sums = await rig.readmit(rig.edge())

    (event,) = rig.log.stored
    assert (told["outcome"], told["at_us"]) == ("accepted", MINUTE_US)
    assert (event.id, event.body, event.received_us) == ("evt_1", body_of("evt_1"), MINUTE_US)
    assert event.delivery_id == told["id"]
    assert sums == {"source": "acme", "dry_run": False, "accepted": 1}
    assert ids(rig.folder) == []
    assert rig.meter.counts["acme", "readmitted", "accepted"] == 1


async def test_what_was_refused_by_a_wrong_secret_passes_by_the_right_one(rig):
    wrong = rig.edge(WRONG)
    body = body_of("evt_9")
    made = await deliver(wrong, body, signed(body, time.time_ns() // 1000))
    await wrong._equipment.quarantine.flush()

    told, _ = await rig.readmit(rig.edge(RIGHT))

    assert (made.status, told["outcome"]) == (401, "accepted")
    assert [event.id for event in rig.log.stored] == ["evt_9"]


async def test_what_came_again_meanwhile_is_a_duplicate_and_leaves(rig):
    put(rig.folder, make(1))
    put(rig.folder, make(2, body=make(1).body, headers=make(1).headers, at_us=MINUTE_US + 1))

    first, second, sums = await rig.readmit(rig.edge())

    assert (first["outcome"], second["outcome"]) == ("accepted", "duplicate")
    assert (sums["accepted"], sums["duplicate"]) == (1, 1)
    assert len(rig.log.stored) == 1
    assert ids(rig.folder) == []


async def test_what_is_refused_still_stays_with_its_cause(rig):
    put(rig.folder, make(1))

    told, sums = await rig.readmit(rig.edge(WRONG))

    assert (told["outcome"], told["reason"]) == ("refused", "signature_mismatch")
    assert "secret 'theirs' of source neighbour" in told["cause"]
    assert sums["refused"] == 1
    assert len(ids(rig.folder)) == 1
    assert rig.log.appends == 0


async def test_causes_of_many_are_worked_out_for_some(rig, monkeypatch):
    monkeypatch.setattr(readmission, "MOST_CAUSES", 2)
    put(rig.folder, *(make(number) for number in range(1, 6)))

    *told, _ = await rig.readmit(rig.edge(WRONG))

    assert [bool(each["cause"]) for each in told] == [True, True, False, False, False]


async def test_a_timestamp_that_was_stale_on_arrival_is_stale_still(rig):
    headers = tuple(signed(body_of("evt_1"), MINUTE_US))
    put(rig.folder, make(60, body=body_of("evt_1"), headers=headers))

    told, _ = await rig.readmit(rig.edge())

    assert (told["outcome"], told["reason"]) == ("refused", "timestamp_stale")
    assert "before it arrived" in told["cause"]


async def test_a_dry_run_stores_and_removes_nothing_and_counts_nothing(rig):
    put(rig.folder, make(1))

    told, sums = await rig.readmit(rig.edge(), dry_run=True)

    assert (told["outcome"], sums["dry_run"]) == ("accepted", True)
    assert rig.log.appends == 0
    assert len(ids(rig.folder)) == 1
    assert not [key for key in rig.meter.counts if "readmitted" in key]


async def test_a_delivery_leaves_only_once_it_is_durable(rig):
    put(rig.folder, make(1))
    rig.log.automatic = False

    running = asyncio.create_task(rig.readmit(rig.edge()))
    await until(lambda: rig.log.undecided)
    before = ids(rig.folder)
    rig.log.store()
    await running

    assert (len(before), ids(rig.folder)) == (1, [])


@pytest.mark.parametrize("undecided", [False, True], ids=["refused at once", "failed later"])
async def test_what_the_log_does_not_take_stays_and_the_rest_is_not_tried(rig, undecided):
    put(rig.folder, make(1), make(2))
    if undecided:
        rig.log.automatic = False
    else:
        rig.log.refuses = "log_down"

    running = asyncio.create_task(rig.readmit(rig.edge()))
    if undecided:
        await until(lambda: rig.log.undecided)
        rig.log.fail(Unavailable("log_down"))
    *told, _ = await running

    assert [(each["outcome"], each["reason"]) for each in told] == [("unavailable", "log_down")]
    assert len(ids(rig.folder)) == 2


async def test_a_challenge_is_not_answered_and_nothing_is_paired(rig):
    source = pairing_source()
    put(rig.folder, make(1, headers=((b"x-hook-secret", b"an offered secret"),)))
    edge = rig.edge(source=source, recompile=lambda name, secrets: source)
    edge.pairings.open("acme", 60)

    told, _ = await rig.readmit(edge)

    assert told["outcome"] == "handshake"
    assert edge.pairings.state("acme")["paired"] is False
    assert len(ids(rig.folder)) == 1


async def test_a_visit_that_a_challenge_asks_for_is_not_made(rig):
    host = Host({"https://visit.example/": answer()})
    handshake = Handshake(Ack(), "only", visit="https://visit.example/")
    put(rig.folder, make(1))

    await rig.readmit(rig.edge(source=make_source(admit=lambda request, now_us: handshake), fetch=host.fetch))

    assert not host.asked


async def test_an_old_body_under_a_new_id_is_refused_where_the_source_says_so(rig):
    source = make_source(id_is_signed=False, on_replay="refuse", admit=hmac_admit(id_is_signed=False))
    body = b"the same body"
    put(rig.folder, proved(1, body, (b"x-id", b"first")), proved(2, body, (b"x-id", b"second")))

    first, second, _ = await rig.readmit(rig.edge(source=source))

    assert first["outcome"] == "accepted"
    assert (second["outcome"], second["reason"]) == ("refused", "suspected_replay")
    assert rig.meter.counts["acme", "flag", "suspected_replay"] == 1


async def test_the_source_s_rate_does_not_hold_it_up(rig):
    source = make_source(rate=0.001)
    bodies = [b"body %d" % number for number in range(5)]
    put(rig.folder, *(proved(number, body, (b"x-id", body)) for number, body in enumerate(bodies, 1)))

    *_, sums = await rig.readmit(rig.edge(source=source))

    assert sums["accepted"] == 5


async def test_a_key_that_must_be_fetched_is_fetched_for_it(rig):
    host = Host({"https://keys.example/jwks": answer(b"one,two")})
    put(rig.folder, proved(1, b"a body"))

    told, _ = await rig.readmit(rig.edge(source=keyed_source(), fetch=host.fetch))

    assert told["outcome"] == "accepted"


async def test_without_that_key_it_stays(rig):
    put(rig.folder, proved(1, b"a body"))

    told, _ = await rig.readmit(rig.edge(source=keyed_source(), fetch=Host().fetch))

    assert (told["outcome"], told["reason"]) == ("unavailable", "key_unavailable")
    assert len(ids(rig.folder)) == 1


async def test_only_those_that_are_named_are_tried_the_oldest_first(rig):
    put(rig.folder, *(make(number) for number in range(1, 5)))

    *told, _ = await rig.readmit(rig.edge(), make(4).id, make(2).id, "0" * 26)

    assert [each["id"][-1] for each in told] == ["2", "4"]
    assert [each[-1] for each in ids(rig.folder)] == ["1", "3"]


async def test_two_at_once_store_each_event_once(rig):
    put(rig.folder, *(make(number) for number in range(1, 20)))
    edge = rig.edge()

    await asyncio.gather(rig.readmit(edge), rig.readmit(edge))

    assert len(rig.log.stored) == 19
    assert ids(rig.folder) == []


async def test_a_source_that_the_edge_does_not_know_is_refused(rig):
    edge = rig.edge()

    with pytest.raises(GatewayError, match="no source nobody"):
        [told async for told in edge.readmission.run("nobody", [], dry_run=False)]


async def test_what_was_done_is_a_line_of_log_without_a_body_or_an_id(rig, caplog):
    put(rig.folder, make(1), make(2))

    with caplog.at_level(logging.INFO, logger="gateway.receive"):
        await rig.readmit(rig.edge())

    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["accepted"]) == ("quarantine.readmitted", 2)
    assert "evt_" not in str(record.__dict__)
