"""Subscriptions that are confirmed by fetching a URL: beside the answer, few at a time, tried twice."""

import pytest

from gateway.receive.errands import Errands
from gateway.receive.visits import MOST_WAITING, Visits
from tests.asgi import call
from tests.edge import CountingMeter, DecidedLog, build_edge, make_source, until
from tests.outside import Host, answer, visit_admit

URL = "https://sns.example/?Action=ConfirmSubscription&Token=t0ken"


@pytest.fixture
def host() -> Host:
    return Host({URL: answer(b"<ok/>")})


@pytest.fixture
def meter() -> CountingMeter:
    return CountingMeter()


def visited(meter: CountingMeter, outcome: str) -> int:
    return meter.counts["acme", "visit", outcome]


async def test_a_signed_request_to_visit_is_answered_at_once_and_followed_beside(host, meter):
    host.open.clear()
    edge = build_edge(DecidedLog(), meter, make_source(admit=visit_admit), fetch=host.fetch)

    made = await call(edge, [URL.encode()])

    assert made.status == 200
    await until(lambda: host.running == 1)
    assert not visited(meter, "done")
    host.open.set()
    await until(lambda: visited(meter, "done"))
    assert host.asked == {URL: 1}


async def test_what_does_not_verify_makes_the_gateway_visit_nothing(host, meter):
    edge = build_edge(DecidedLog(), meter, make_source(admit=visit_admit), fetch=host.fetch)

    made = await call(edge, [URL.encode()], headers=[(b"x-signature", b"0")])

    assert made.status == 401
    assert not edge._errands._tasks


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({}, id="down"),
        pytest.param({URL: answer(b"", 500)}, id="failing"),
        pytest.param({URL: answer(b"", 302, location="https://elsewhere.example")}, id="redirecting"),
    ],
)
async def test_a_visit_that_fails_is_made_once_more(host, meter, told, caplog):
    host.answers = told
    visits = Visits(host.fetch, Errands(), pause=0)

    visits.add("acme", URL, meter.source("acme"))
    await until(lambda: visited(meter, "failed"))

    assert host.asked == {URL: 2}
    assert [record.msg for record in caplog.records] == ["visit.failed"] * 2
    assert "t0ken" not in str([vars(record) for record in caplog.records])


async def test_a_second_try_may_go_well(host, meter):
    host.answers = {}
    visits = Visits(host.fetch, Errands(), pause=0.01)

    visits.add("acme", URL, meter.source("acme"))
    await until(lambda: host.asked[URL] == 1)
    host.answers = {URL: answer()}
    await until(lambda: visited(meter, "done"))

    assert host.asked == {URL: 2}


async def test_a_flood_of_visits_waits_in_a_bounded_queue_and_the_rest_is_to_come_again(host, meter):
    host.open.clear()
    edge = build_edge(DecidedLog(), meter, make_source(admit=visit_admit), fetch=host.fetch)

    answered = [await call(edge, [URL.encode()]) for _ in range(MOST_WAITING + 10)]

    assert {made.status for made in answered[:MOST_WAITING]} == {200}
    assert answered[-1].status == 503
    assert visited(meter, "dropped") > 0
    await until(lambda: host.running)
    assert host.running == 1
    await edge._errands.close()
    assert host.running == 0
