"""Causes of refusals: worked out after the answer, within bounds, without a secret, an id or a body in the words."""

import asyncio
import hashlib
import hmac
import logging
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core import diagnosis
from gateway.core.compile import compile_source
from gateway.core.diagnosis import Suspect
from gateway.core.source import Secret, SourceOptions
from gateway.providers import PROVIDERS
from gateway.receive import causes
from gateway.receive.app import Edge
from gateway.receive.rejections import FILE_NAME, read_rejections
from tests.admitting import request
from tests.asgi import Call, call
from tests.edge import CountingMeter, DecidedLog, build_edge, until

SECRET, OTHER, LATE = "the right secret", "the neighbour's secret", "a late secret"
BODY = b'{"id":"evt_1","zen":"Keep it logically awesome."}'
OPTIONS = SourceOptions()
Late = Mapping[str, tuple[Secret, ...]]


def suspect_of(name: str, late: Late) -> Suspect:
    others = {"neighbour": (Secret("theirs", OTHER), *late.get("neighbour", ()))}
    return Suspect(
        provider=PROVIDERS["github"], name=name, secrets=(Secret("s0", SECRET),), options=OPTIONS, others=others
    )


def github_edge(**over: Any) -> Edge:
    source = compile_source(PROVIDERS["github"], name="acme", secrets=(Secret("s0", SECRET),), options=OPTIONS)
    return build_edge(DecidedLog(), CountingMeter(), source, **{"suspect_of": suspect_of, "failed_rate": 0, **over})


async def deliver(edge: Edge, secret: str = OTHER, *, signed: bytes = BODY, sent: bytes = BODY) -> Call:
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    headers = [(b"x-hub-signature-256", f"sha256={digest}".encode()), (b"x-github-delivery", b"72d3162e")]
    return await call(edge, [sent], headers=headers)


def told(edge: Edge) -> list[str]:
    return [rejection.cause for rejection in edge.recent_rejections()]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every delivery of a source."""
    monkeypatch.setattr(causes, "EVERY_SECONDS", 0.0)


@pytest.mark.parametrize(
    "secret,signed,cause",
    [
        pytest.param(OTHER, BODY, "signed with secret 'theirs' of source neighbour", id="another source's"),
        pytest.param(SECRET, BODY + b"\n", "with a newline at its end", id="a trimmed newline"),
        pytest.param("nobody's", BODY, "no configured secret", id="nobody's"),
    ],
)
async def test_a_refused_delivery_gets_its_cause_after_its_answer(secret, signed, cause):
    edge = github_edge()

    made = await deliver(edge, secret, signed=signed)
    at_once = told(edge)
    await until(lambda: told(edge) != [""])

    assert (made.status, at_once) == (401, [""])
    (found,) = told(edge)
    assert cause in found
    for private in (SECRET, OTHER, "evt_1", "72d3162e", "awesome"):
        assert private not in found


async def test_the_cause_is_kept_in_the_file_whether_its_line_was_written_before_or_not(tmp_path, unhurried):
    edge = github_edge(rejections=tmp_path)
    await deliver(edge)
    await edge.tick()
    await until(lambda: all(told(edge)))
    await deliver(edge)
    await until(lambda: all(told(edge)))
    await edge.tick()

    kept = read_rejections(tmp_path, limit=10)

    assert len(kept) == 2
    assert all("of source neighbour" in each.cause for each in kept)
    assert len((tmp_path / FILE_NAME).read_bytes().splitlines()) == 3


async def test_a_missing_signature_is_explained_too():
    edge = github_edge()

    await call(edge, [BODY], headers=[])
    await until(lambda: told(edge) != [""])

    assert "no header x-hub-signature-256" in told(edge)[0].lower()


async def test_of_a_flood_one_delivery_a_second_is_looked_at():
    edge = github_edge()

    for _ in range(200):
        await deliver(edge)
    waiting = len(edge._equipment.causes._waiting)
    await until(lambda: any(told(edge)))

    assert waiting <= 1
    assert len(list(filter(None, told(edge)))) == 1


async def test_large_bodies_are_not_tried():
    edge = github_edge()

    await deliver(edge, sent=b"x" * (causes.LARGEST_BODY + 1))
    await deliver(edge)
    await until(lambda: any(told(edge)))

    assert told(edge)[0] == ""


@pytest.mark.parametrize(
    "bound,limit", [pytest.param("MOST_WAITING", 2, id="count"), pytest.param("MOST_BYTES", 700, id="bytes")]
)
async def test_what_finds_the_queue_full_has_no_cause(monkeypatch, unhurried, bound, limit):
    monkeypatch.setattr(causes, bound, limit)
    blocked = threading.Event()

    def held_up(*arguments: Any) -> str:
        blocked.wait(30)
        return "held up"

    monkeypatch.setattr(causes, "_worked_out", held_up)
    edge = github_edge()
    await deliver(edge, sent=b"x" * 300)
    await asyncio.sleep(0)  # the first is being looked at, and waits no more
    for _ in range(20):
        await deliver(edge, sent=b"x" * 300)
    blocked.set()
    await until(lambda: len(list(filter(None, told(edge)))) == 3)
    await deliver(edge)
    await until(lambda: told(edge)[-1] != "")

    assert [bool(cause) for cause in told(edge)] == [True] * 3 + [False] * 18 + [True]


async def test_a_defect_costs_the_cause_alone_and_tells_nothing_of_the_delivery(monkeypatch, caplog):
    def broken(*arguments: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(diagnosis, "compile_source", broken)
    edge = github_edge()

    with caplog.at_level(logging.ERROR, logger="gateway.receive"):
        made = await deliver(edge)
        await until(lambda: caplog.records)

    assert made.status == 401
    assert told(edge) == [""]
    assert [record.getMessage() for record in caplog.records] == ["cause.failed"]
    assert SECRET not in caplog.text


async def test_the_end_of_the_edge_ends_the_work(monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def endless(*arguments: Any, **named: Any) -> Any:
        begun.set()
        try:
            while True:
                yield ""
        finally:
            ended.set()

    monkeypatch.setattr(causes, "inquire", endless)
    monkeypatch.setattr(causes, "MOST_TRIES", 10**9)
    edge = github_edge()
    await deliver(edge)
    house = asyncio.create_task(edge.keep_house())
    await until(begun.is_set)

    house.cancel()
    await asyncio.gather(house, return_exceptions=True)

    await until(ended.is_set)


async def test_an_endless_row_of_secrets_is_given_up(monkeypatch):
    tried = 0

    def endless(*arguments: Any, **named: Any) -> Any:
        nonlocal tried
        while True:
            tried += 1
            yield ""

    monkeypatch.setattr(causes, "inquire", endless)
    monkeypatch.setattr(causes, "_REST_SECONDS", 0.0)
    edge = github_edge()

    assert await edge.readmission._causes.cause_of("acme", request(BODY)) == ""
    assert 0 < tried <= causes.MOST_TRIES + 1


async def test_a_secret_that_came_at_run_time_is_tried_as_well(monkeypatch):
    edge = github_edge()
    monkeypatch.setattr(edge.pairings, "in_use", lambda: {"neighbour": (Secret("paired", LATE),)})

    await deliver(edge, LATE)
    await until(lambda: told(edge) != [""])

    assert "secret 'paired' of source neighbour" in told(edge)[0]
