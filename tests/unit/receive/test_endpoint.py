"""The edge by ASGI calls alone, below a server that is not ours."""

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.source import Ack
from tests.asgi import Call, call
from tests.edge import BODY, CountingMeter, DecidedLog, build_edge, hmac_admit, make_source, signature, until

DOCUMENTED = {200, 400, 401, 404, 405, 413, 415, 429, 503}


@pytest.fixture
def log() -> DecidedLog:
    return DecidedLog()


@pytest.fixture
def meter() -> CountingMeter:
    return CountingMeter()


async def test_a_body_in_pieces_is_stored_whole(log, meter):
    made = await call(build_edge(log, meter), [BODY[:5], BODY[5:20], BODY[20:]])

    assert (made.status, made.word) == (200, "accepted")
    assert [event.body for event in log.stored] == [BODY]


async def test_the_answer_and_the_event_carry_the_same_delivery_id(log, meter):
    made = await call(build_edge(log, meter))

    assert made.headers[b"gateway-delivery-id"].decode() == log.stored[0].delivery_id


async def test_what_a_provider_prescribes_is_answered_for_copies_too(log, meter):
    edge = build_edge(log, meter, make_source(accepted=Ack(body=b"<Response/>", content_type="text/xml")))

    first, second = await call(edge), await call(edge)

    assert (first.body, second.body) == (b"<Response/>", b"<Response/>")
    assert first.headers[b"content-type"] == b"text/xml"
    assert meter.counts["acme", "duplicate", ""] == 1


async def test_a_challenge_is_answered_and_nothing_stored(log, meter):
    made = await call(build_edge(log, meter), [b"challenge"])

    assert (made.status, made.body) == (200, b"answer")
    assert log.appends == 0
    assert meter.counts["acme", "handshake", ""] == 1


async def test_an_empty_batch_is_accepted_with_nothing_stored(log, meter):
    made = await call(build_edge(log, meter), [b"[]"])

    assert (made.status, made.word) == (200, "accepted")
    assert log.appends == 0


async def test_a_batch_is_one_append_and_the_same_id_twice_joins_the_first(log, meter):
    made = await call(build_edge(log, meter), [b'[{"id":"a"},{"id":"b"},{"id":"a"}]'])

    assert (made.status, made.word) == (200, "accepted")
    assert log.appends == 1
    assert [event.id for event in log.stored] == ["a", "b"]


async def test_a_batch_of_known_events_is_a_duplicate(log, meter):
    edge = build_edge(log, meter)
    await call(edge, [b'[{"id":"a"},{"id":"b"}]'])

    made = await call(edge, [b'[{"id":"b"},{"id":"a"}]'])

    assert (made.status, made.word) == (200, "duplicate")
    assert len(log.stored) == 2


async def test_a_batch_waits_for_its_last_event(log, meter):
    log.automatic = False
    answering = asyncio.create_task(call(build_edge(log, meter), [b'[{"id":"a"},{"id":"b"}]']))
    await until(lambda: len(log.undecided) == 2)
    both = log.undecided
    log.undecided = [both[0]]

    log.store()
    for _ in range(10):
        await asyncio.sleep(0)

    assert not answering.done()
    log.undecided = [both[1]]
    log.store()
    assert (await answering).word == "accepted"


async def test_a_batch_of_which_one_fails_is_not_acknowledged(log, meter):
    log.automatic = False
    answering = asyncio.create_task(call(build_edge(log, meter), [b'[{"id":"a"},{"id":"b"}]']))
    await until(lambda: len(log.undecided) == 2)
    both = log.undecided
    log.undecided = [both[0]]
    log.store()
    log.undecided = [both[1]]

    log.fail(OSError())

    assert (await answering).status == 503


async def test_a_rate_counts_verified_deliveries_only(log, meter):
    edge = build_edge(log, meter, make_source(rate=1.0))
    for _ in range(20):
        await call(edge, headers=[])

    first, second = await call(edge), await call(edge)

    assert (first.status, second.status) == (200, 429)
    assert int(second.headers[b"retry-after"]) == 1
    assert len(log.stored) == 1


async def test_an_address_that_is_not_allowed_looks_like_any_unverified_one(log, meter):
    edge = build_edge(log, meter, make_source(allow_ips=("198.51.100.0/24",)))

    refused, allowed = await call(edge), await call(edge, client=("198.51.100.3", 9))

    assert (refused.status, refused.word) == (401, "unverified")
    assert allowed.status == 200
    assert meter.counts["acme", "refused", "address"] == 1


async def test_the_senders_own_claim_of_an_address_opens_nothing(log, meter):
    edge = build_edge(log, meter, make_source(allow_ips=("198.51.100.0/24",)), trusted_proxies=("10.0.0.0/8",))
    claim = (b"x-forwarded-for", b"198.51.100.3")
    signed = (b"x-signature", signature(BODY).encode())

    direct = await call(edge, headers=[signed, claim])
    proxied = await call(edge, headers=[signed, claim], client=("10.0.0.1", 9))

    assert (direct.status, proxied.status) == (401, 200)


@pytest.mark.parametrize(
    "sent,status",
    [(b"application/json; charset=utf-8", 200), (b"APPLICATION/JSON", 200), (b"text/xml", 415), (None, 415)],
)
async def test_a_source_may_name_its_content_types(log, meter, sent, status):
    edge = build_edge(log, meter, make_source(content_types=("application/json",)))
    headers = [(b"x-signature", signature(BODY).encode()), *([(b"content-type", sent)] if sent else [])]

    made = await call(edge, headers=headers)

    assert made.status == status
    assert len(log.stored) == (status == 200)


async def test_bytes_held_before_verification_are_bounded_for_each_client_and_given_back(log, meter):
    edge = build_edge(log, meter, max_buffered=64, max_buffered_per_client=40)

    over = await call(edge, [b"x" * 30, b"x" * 30])
    within = await call(edge, [b"x" * 20, b"x" * 20])

    assert (over.status, over.word) == (503, "unavailable")
    assert within.status == 200
    assert meter.counts["acme", "refused", "overloaded"] == 1


async def test_a_client_that_leaves_before_its_body_is_whole_leaves_nothing(log, meter):
    made = await call(build_edge(log, meter), [BODY[:10]], gone=True)

    assert made.messages == []
    assert log.appends == 0
    assert meter.counts.total() == 0


async def test_a_body_that_never_ends_is_given_up_at_the_deadline(log, meter):
    edge = build_edge(log, meter, make_source(deadline=0.05))
    made = Call()

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "path": "/webhooks/acme", "headers": [], "query_string": b""}
    await edge.app(scope, receive, made.send)

    assert made.status == 503
    assert made.headers[b"connection"] == b"close"
    assert meter.counts["acme", "refused", "deadline"] == 1


async def test_a_defect_of_ours_is_503_counted_and_logged_by_type_alone(log, meter, caplog):
    def broken(request, now_us):
        raise RuntimeError("whsec_canary")

    with caplog.at_level(logging.DEBUG):
        made = await call(build_edge(log, meter, make_source(admit=broken)))

    assert (made.status, made.word) == (503, "unavailable")
    assert meter.counts["acme", "refused", "internal"] == 1
    assert [record.__dict__["error"] for record in caplog.records] == ["RuntimeError"]
    assert "canary" not in caplog.text


async def test_a_log_with_a_defect_is_503_and_the_event_is_new_the_next_time(log, meter):
    edge = build_edge(log, meter)
    log.raises = RuntimeError()

    first = await call(edge)
    log.raises = None

    assert first.status == 503
    assert (await call(edge)).word == "accepted"


@pytest.mark.parametrize("reason", ["overloaded", "log_down", "disk_full", "draining"])
async def test_a_log_that_takes_nothing_is_503_at_once_and_counted(log, meter, reason):
    log.refuses = reason

    made = await call(build_edge(log, meter))

    assert (made.status, made.word) == (503, "unavailable")
    assert int(made.headers[b"retry-after"]) > 0
    assert meter.counts["acme", "refused", reason] == 1
    assert meter.counts["append_error", reason] == 1


async def test_an_old_body_under_a_new_unsigned_id_is_flagged_and_stored(log, meter):
    edge = build_edge(log, meter, make_source(id_is_signed=False))
    signed = (b"x-signature", signature(BODY).encode())

    await call(edge, headers=[signed, (b"x-id", b"first")])
    await call(edge, headers=[signed, (b"x-id", b"second")])

    assert [(event.id, event.flags) for event in log.stored] == [("first", ()), ("second", ("suspected_replay",))]
    assert meter.counts["acme", "flag", "suspected_replay"] == 1


async def test_an_old_body_under_a_new_unsigned_id_is_refused_where_the_source_says_so(log, meter):
    edge = build_edge(log, meter, make_source(id_is_signed=False, on_replay="refuse"))
    signed = (b"x-signature", signature(BODY).encode())
    await call(edge, headers=[signed, (b"x-id", b"first")])

    replay = await call(edge, headers=[signed, (b"x-id", b"second")])
    redelivery = await call(edge, headers=[signed, (b"x-id", b"first")])

    assert (replay.status, replay.word) == (401, "unverified")
    assert redelivery.word == "duplicate"
    assert [event.id for event in log.stored] == ["first"]


async def test_a_copy_with_another_body_under_a_signed_id_is_counted_apart(log, meter):
    edge = build_edge(log, meter)
    await call(edge)

    copy = await call(edge, [b'{"other":1}'])

    assert copy.word == "duplicate"
    assert meter.counts["acme", "flag", "body_differs"] == 1


async def test_repeated_headers_are_named_to_admission(log, meter):
    signed = (b"x-signature", signature(BODY).encode())

    made = await call(build_edge(log, meter), headers=[signed, signed])

    assert made.status == 401
    assert meter.counts["acme", "refused", "signature_repeated"] == 1


async def test_ids_are_remembered_in_memory_only_after_they_are_durable(log, meter):
    edge = build_edge(log, meter, max_ids=10)
    log.refuses = "overloaded"
    await call(edge)
    assert edge.remembered_ids == 0

    log.refuses = None
    first, second = await call(edge), await call(edge)

    assert (first.word, second.word) == ("accepted", "duplicate")
    assert log.appends == 1


async def test_a_refusal_is_kept_without_what_the_sender_wrote(log, meter):
    edge = build_edge(log, meter)

    await call(edge, [b"a secret body"], headers=[(b"x-signature", b"forged"), (b"authorization", b"Bearer abc")])

    (kept,) = edge.recent_rejections()
    assert (kept.source, kept.reason, kept.status, kept.body_bytes) == ("acme", "signature_mismatch", 401, 13)
    assert (kept.client, kept.method, kept.signature_age) == ("192.0.2.1", "POST", 12.5)
    assert kept.header_names == ("authorization", "x-signature")
    assert not any(word in repr(kept) for word in ("secret body", "forged", "Bearer"))


async def test_a_refusal_is_bounded_whatever_was_sent(log, meter):
    headers = [(b"x-%d" % number + b"y" * 1000, b"z" * 1000) for number in range(500)]
    edge = build_edge(log, meter)

    await call(edge, path="/" + "p" * 5000, headers=headers, method="M" * 5000)

    (kept,) = edge.recent_rejections()
    assert len(repr(kept)) < 5000


async def test_a_claim_undecided_for_long_is_released_as_unknown(log, meter, monkeypatch):
    monkeypatch.setattr("gateway.receive.appending.UNDECIDED_SECONDS", 0.0)
    log.automatic = False
    edge = build_edge(log, meter, make_source(deadline=0.05))
    assert (await call(edge)).status == 503

    await edge.tick()
    await call(edge)

    assert log.appends == 2
    assert meter.counts["append_error", "unknown"] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=8),
    pieces=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    path=st.text(max_size=40),
    method=st.sampled_from(["POST", "GET", "PUT", "HEAD", "OPTIONS", "BREW"]),
)
async def test_whatever_is_sent_the_answer_is_a_documented_one(headers, pieces, path, method):
    log, meter = DecidedLog(), CountingMeter()
    edge = build_edge(log, meter)
    forged = [(name, value) for name, value in headers if name != b"x-signature"]

    for target in ("/webhooks/acme", "/" + path):
        made = await call(edge, pieces, headers=[*forged, (b"x-signature", b"00")], path=target, method=method)
        assert made.status in DOCUMENTED - {200}

    assert log.appends == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_a_source_is_asked_only_with_its_own_methods(log, meter, method):
    edge = build_edge(log, meter, make_source(methods=frozenset({"POST", "GET"})))

    made = await call(edge, [b""], headers=[], method=method)

    assert made.status == (401 if method == "GET" else 405)
    if made.status == 405:
        assert made.headers[b"allow"] == b"GET, POST"


async def test_a_head_request_is_answered_without_a_body(log, meter):
    edge = build_edge(log, meter, make_source(methods=frozenset({"HEAD"}), admit=hmac_admit()))

    made = await call(edge, [b"challenge"], method="HEAD")

    assert (made.status, made.body) == (200, b"")
