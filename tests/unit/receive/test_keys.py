"""Keys that are fetched: on the way to an answer, once for all who wait, within bounds that no stranger moves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.admission import NeedsKey
from gateway.core.source import Source
from gateway.receive import keys as module
from gateway.receive.app import Edge
from gateway.receive.keys import Keys, fresh_for
from tests.asgi import Call, call
from tests.edge import BODY, CountingMeter, DecidedLog, build_edge, signature, until
from tests.outside import Host, answer, keyed_source

JWKS = "https://keys.example/jwks"


@dataclass
class Clock:
    """Stands in for the module `time` of the keys."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now


@dataclass
class Keyed:
    """An edge with a source of fetched keys."""

    host: Host = field(default_factory=lambda: Host({JWKS: answer(b"one,two")}))
    log: DecidedLog = field(default_factory=DecidedLog)
    meter: CountingMeter = field(default_factory=CountingMeter)
    source: Source = field(default_factory=keyed_source)
    _edge: Edge | None = None

    @property
    def edge(self) -> Edge:
        if self._edge is None:
            self._edge = build_edge(self.log, self.meter, self.source, fetch=self.host.fetch)
        return self._edge

    @property
    def keys(self) -> Keys:
        found = self.edge._entrances["acme"].keys
        assert found is not None
        return found

    async def send(self, *, ref: str = JWKS, key: str = "one", good: bool = True, client: str = "192.0.2.1") -> Call:
        sent = signature(BODY) if good else "0"
        headers = [(b"x-signature", sent.encode()), (b"x-ref", ref.encode()), (b"x-key", key.encode())]
        return await call(self.edge, headers=headers, client=(client, 1))

    def outcomes(self, outcome: str) -> int:
        return self.meter.counts["acme", "key", outcome]

    def refused(self, reason: str) -> int:
        return self.meter.counts["acme", "refused", reason]


@pytest.fixture
async def keyed() -> AsyncIterator[Keyed]:
    made = Keyed()
    yield made
    made.host.open.set()
    await made.edge._errands.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    chosen = Clock()
    monkeypatch.setattr(module, "time", chosen)
    return chosen


async def test_the_first_delivery_fetches_its_key_and_the_next_finds_it(keyed):
    first, second = await keyed.send(), await keyed.send()

    assert (first.word, second.word) == ("accepted", "duplicate")
    assert keyed.host.asked == {JWKS: 1}
    assert keyed.outcomes("fetched") == 1


async def test_all_who_wait_for_a_key_share_one_fetch(keyed):
    keyed.host.open.clear()
    sending = [asyncio.create_task(keyed.send()) for _ in range(20)]
    await until(lambda: keyed.host.running == 1)

    keyed.host.open.set()

    assert {made.status for made in await asyncio.gather(*sending)} == {200}
    assert keyed.host.asked == {JWKS: 1}


async def test_a_host_that_is_down_is_answered_503_and_left_alone_for_a_while(keyed, clock):
    keyed.host.answers.clear()
    answered = [await keyed.send() for _ in range(5)]

    assert {(made.status, made.word) for made in answered} == {(503, "unavailable")}
    assert keyed.host.asked == {JWKS: 1}
    assert keyed.refused("key_unavailable") == 5

    clock.now += module.FAILED_FOR + 1
    keyed.host.answers[JWKS] = answer(b"one")
    assert (await keyed.send()).status == 200


async def test_a_slow_host_costs_no_more_than_the_deadline_and_the_next_copy_finds_the_key(keyed):
    keyed.source = keyed_source(deadline=0.05)
    keyed.host.open.clear()

    async with asyncio.timeout(15):
        late = await keyed.send()
    keyed.host.open.set()
    await until(lambda: keyed.outcomes("fetched"))

    assert (late.status, late.word) == (503, "unavailable")
    assert len(keyed.keys) == 1


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(answer(b"one", 302, location="https://elsewhere.example"), id="redirect"),
        pytest.param(answer(b"one", 404), id="absent"),
        pytest.param(answer(b"one", 206), id="in part"),
        pytest.param(answer(b""), id="empty"),
        pytest.param(answer(b" \n<html>one</html>"), id="an error page"),
        pytest.param(answer(b"one," + b"x" * module.LARGEST), id="huge"),
    ],
)
async def test_what_is_no_key_is_not_kept(keyed, told):
    keyed.host.answers[JWKS] = told

    made = await keyed.send()

    assert made.status == 503
    assert keyed.outcomes("unusable") == 1
    assert len(keyed.keys) == 0


async def test_an_error_page_does_not_replace_a_key_in_use(keyed, clock):
    await keyed.send()
    clock.now += module.USUAL + 1
    keyed.host.answers[JWKS] = answer(b"<html>")

    answered = [await keyed.send(), await keyed.send()]
    await until(lambda: keyed.outcomes("unusable"))
    answered.append(await keyed.send())

    assert {made.status for made in answered} == {200}


async def test_a_stale_key_serves_while_it_is_refreshed_beside(keyed, clock):
    await keyed.send()
    keyed.host.open.clear()
    clock.now += module.USUAL + 1

    answered = [await keyed.send() for _ in range(3)]
    await until(lambda: keyed.host.running == 1)
    keyed.host.open.set()
    await until(lambda: keyed.outcomes("fetched") == 2)

    assert {made.status for made in answered} == {200}
    assert keyed.host.asked == {JWKS: 2}


async def test_who_does_not_verify_refreshes_nothing(keyed, clock):
    await keyed.send()
    clock.now += module.USUAL + 1

    for _ in range(3):
        assert (await keyed.send(good=False)).status == 401
    await asyncio.sleep(0)

    assert keyed.host.asked == {JWKS: 1}


async def test_a_key_serves_for_a_day_after_it_went_stale_and_no_longer(keyed, clock):
    await keyed.send()
    keyed.host.answers.clear()

    clock.now += module.USUAL + module.STALE_FOR - 1
    within = await keyed.send()
    await until(lambda: keyed.outcomes("failed"))
    clock.now += 60
    beyond = await keyed.send()

    assert (within.status, beyond.status) == (200, 503)


async def test_a_rotated_key_is_fetched_when_a_delivery_needs_it(keyed, clock):
    await keyed.send()
    keyed.host.answers[JWKS] = answer(b"two,three")
    clock.now += module.NEWER_AFTER

    made = await keyed.send(key="three")

    assert made.status == 200
    assert keyed.host.asked == {JWKS: 2}


async def test_a_key_that_the_newest_document_lacks_is_refused_and_asked_for_once_a_minute(keyed, clock):
    first = await keyed.send(key="none")
    soon = [await keyed.send(key="none") for _ in range(5)]
    clock.now += module.NEWER_AFTER
    later = await keyed.send(key="none")

    assert {(made.status, made.word) for made in (first, *soon, later)} == {(401, "unverified")}
    assert keyed.host.asked == {JWKS: 2}
    assert keyed.refused("signature_mismatch") == 7


async def test_when_a_newer_document_cannot_be_had_the_sender_is_to_come_again(keyed, clock):
    await keyed.send()
    keyed.host.answers.clear()
    clock.now += module.NEWER_AFTER

    assert [(await keyed.send(key="three")).status, (await keyed.send()).status] == [503, 200]


async def test_one_client_may_ask_for_few_documents(keyed):
    keyed.host.answers |= {f"{JWKS}/{number}": answer(b"one") for number in range(50)}

    answered = [await keyed.send(ref=f"{JWKS}/{number}", good=False) for number in range(50)]
    other = await keyed.send(client="198.51.100.9")

    assert keyed.host.asked.total() == 6 + 1
    assert [made.status for made in answered].count(503) == 44
    assert other.status == 200
    assert keyed.outcomes("limited") == 44


async def test_what_was_not_asked_for_fills_no_rejections(keyed):
    for number in range(50):
        await keyed.send(ref=f"{JWKS}/{number}", good=False)

    assert len([each for each in keyed.edge.recent_rejections() if each.reason == "key_unavailable"]) == 6


@pytest.mark.parametrize("size", [pytest.param(0, id="small"), pytest.param(module.LARGEST - 100, id="large")])
async def test_hostile_references_from_everywhere_are_bounded_and_leave_the_key_in_use_alone(keyed, clock, size):
    await keyed.send()
    clock.now += module.USUAL + 1
    await keyed.send()
    await until(lambda: keyed.outcomes("fetched") == 2)
    body = b"one," + b"x" * size
    for number in range(1_000):
        clock.now += 1
        keyed.host.answers[f"{JWKS}/{number}"] = answer(body)
        await keyed.send(ref=f"{JWKS}/{number}", good=False, client=f"2001:db8:{number:x}::1")

    held = [keyed.keys[ref] for ref in keyed.keys]
    assert len(held) <= module.MOST_DOCUMENTS
    assert sum(map(len, held)) <= module.MOST_BYTES
    assert keyed.host.asked.total() < 600
    assert keyed.host.asked[JWKS] == 2
    assert len(keyed.keys._failed) <= module.MOST_DOCUMENTS
    assert (await keyed.send()).word == "duplicate"


async def test_hostile_references_that_hang_take_few_connections_and_not_the_refreshing_of_a_key(keyed, clock):
    await keyed.send()
    keyed.host.open.clear()
    sending = [
        asyncio.create_task(keyed.send(ref=f"{JWKS}/{number}", good=False, client=f"198.51.100.{number}"))
        for number in range(50)
    ]
    await until(lambda: keyed.host.running == module.MOST_FLIGHTS and keyed.outcomes("limited"))

    clock.now += module.USUAL + 1
    assert (await keyed.send()).status == 200
    await until(lambda: keyed.host.asked[JWKS] == 2)
    keyed.host.open.set()
    await asyncio.gather(*sending)


async def test_references_that_fail_are_remembered_within_bounds(keyed, clock):
    for number in range(500):
        clock.now += 2
        await keyed.send(ref=f"{JWKS}/{number}", good=False, client=f"2001:db8:{number:x}::1")

    assert len(keyed.keys._failed) <= module.MOST_DOCUMENTS


async def test_an_endless_reference_is_not_asked_for(keyed):
    made = await keyed.send(ref="https://keys.example/" + "a" * module.LONGEST_REF)

    assert made.status == 401
    assert not keyed.host.asked


async def test_a_client_with_too_many_failures_makes_the_gateway_fetch_nothing(keyed):
    await keyed.send()
    for _ in range(70):
        await keyed.send(good=False)

    made = await keyed.send(ref=f"{JWKS}/other", good=False)

    assert made.status == 503
    assert keyed.host.asked == {JWKS: 1}
    assert (await keyed.send()).status == 200


async def test_such_a_client_may_still_bring_the_news_of_a_rotated_key(keyed, clock):
    await keyed.send()
    clock.now += module.NEWER_AFTER
    keyed.host.answers[JWKS] = answer(b"three")
    for number in range(200):
        await keyed.send(ref=f"{JWKS}/{number}", good=False)

    assert (await keyed.send(key="three")).status == 200


async def test_a_scheme_that_never_has_enough_is_not_followed_for_ever(keyed):
    numbers = iter(range(1_000))

    def admit(request, now_us):
        ref = f"{JWKS}/{next(numbers)}"
        keyed.host.answers[ref] = answer(b"one")
        return NeedsKey(ref)

    keyed.source = keyed_source(admit=admit)

    assert (await keyed.send()).status == 401
    assert keyed.host.asked.total() < 6


async def test_a_defect_in_fetching_is_answered_503(keyed, monkeypatch):
    async def broken(ask: Any, seconds: float) -> Any:
        raise ZeroDivisionError

    keyed.host.fetch = broken

    assert (await keyed.send()).status == 503
    assert keyed.refused("key_unavailable") == 1


async def test_the_age_of_keys_is_told_while_they_are_in_use(keyed, clock):
    assert keyed.keys.oldest(clock.now) == 0.0
    await keyed.send()
    clock.now += 100

    assert keyed.keys.oldest(clock.now) == 100.0
    assert keyed.keys.oldest(clock.now + module.HOUR) == 0.0


async def test_a_source_without_keys_is_shown_none(keyed):
    edge = build_edge(keyed.log, keyed.meter)

    assert edge._entrances["acme"].keys is None
    assert dict(edge.key_ages()) == {}


async def test_fetches_end_with_the_edge(keyed):
    keyed.source = keyed_source(deadline=0.05)
    keyed.host.open.clear()
    await keyed.send()

    await keyed.edge._errands.close()

    assert keyed.host.running == 0


@pytest.mark.parametrize(
    "headers,seconds",
    [
        pytest.param({}, 3_600.0, id="nothing said"),
        pytest.param({"cache-control": "public, max-age=7200, must-revalidate"}, 7_200.0, id="said"),
        pytest.param({"cache-control": "max-age=7200", "age": "3000"}, 4_200.0, id="old already"),
        pytest.param({"cache-control": "MAX-AGE = 7200"}, 7_200.0, id="written oddly"),
        pytest.param({"cache-control": "max-age=0"}, 300.0, id="too short"),
        pytest.param({"cache-control": "max-age=999999999"}, 86_400.0, id="too long"),
        pytest.param({"cache-control": "max-age=7200", "age": "9" * 400}, 7_200.0, id="an absurd age"),
        pytest.param({"cache-control": "s-max-age=60, x"}, 3_600.0, id="another directive"),
    ],
)
def test_freshness_is_what_the_answer_says_within_bounds(headers, seconds):
    assert fresh_for(headers) == seconds


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_header_gives_a_freshness_within_bounds(control, age):
    assert module.SHORTEST <= fresh_for({"cache-control": control, "age": age}) <= module.LONGEST
