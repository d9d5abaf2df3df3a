"""The limit on unverified deliveries of one client: it spares the rejections, and never touches what verifies."""

import pytest

from gateway.receive.limits import ClientRates
from tests.asgi import call
from tests.edge import BODY, CountingMeter, DecidedLog, build_edge, make_source, signature


@pytest.fixture
def log() -> DecidedLog:
    return DecidedLog()


@pytest.fixture
def meter() -> CountingMeter:
    return CountingMeter()


async def test_a_client_with_too_many_failures_is_answered_429_and_kept_no_more(log, meter):
    edge = build_edge(log, meter)

    answered = [await call(edge, headers=[]) for _ in range(70)]

    assert [made.status for made in answered] == [401] * 60 + [429] * 10
    assert int(answered[-1].headers[b"retry-after"]) == 1
    assert len(edge.recent_rejections()) == 60
    assert meter.counts["acme", "refused", "signature_missing"] == 60
    assert meter.counts["acme", "refused", "failed_rate"] == 10


async def test_valid_deliveries_of_a_client_with_too_many_failures_are_never_touched(log, meter):
    edge = build_edge(log, meter)
    for _ in range(200):
        await call(edge, headers=[])

    answered = [await call(edge, [b"%d" % number]) for number in range(100)]

    assert {made.status for made in answered} == {200}


async def test_failures_are_counted_for_each_client_and_an_ipv6_client_by_its_network(log, meter):
    edge = build_edge(log, meter)
    for number in range(61):
        await call(edge, headers=[], client=(f"2001:db8::{number:x}", 1))

    answered = [await call(edge, headers=[], client=(text, 1)) for text in ("2001:db8::ffff", "2001:db8:0:1::1")]

    assert [made.status for made in answered] == [429, 401]


async def test_what_was_verified_and_refused_all_the_same_is_no_failure(log, meter):
    edge = build_edge(log, meter, make_source(id_is_signed=False, on_replay="refuse"))
    signed = (b"x-signature", signature(BODY).encode())
    await call(edge, headers=[signed, (b"x-id", b"first")])

    answered = [await call(edge, headers=[signed, (b"x-id", b"n%d" % number)]) for number in range(70)]

    assert {made.status for made in answered} == {401}


async def test_the_limit_of_failures_can_be_set(log, meter):
    edge = build_edge(log, meter, failed_rate=1e6)

    answered = [await call(edge, headers=[]) for _ in range(200)]

    assert {made.status for made in answered} == {401}


async def test_clients_that_fail_are_remembered_within_bounds(log, meter):
    rates = ClientRates(1.0, most=100)

    for number in range(1_000):
        rates.take(str(number), 0.0)

    assert len(rates) == 100
    assert rates.is_spent("5", 0.0) is False
