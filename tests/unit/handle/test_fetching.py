import asyncio
import time
from dataclasses import dataclass, field

import pytest

from gateway.api import Retry
from gateway.core.errors import GatewayError
from gateway.core.objects import FetchOptions, Final, ObjectApi, ObjectPath, Objects
from gateway.core.outgoing import Answer, AnswerError, Ask, NotFoundError
from gateway.handle.fetching import Fetching, Outside
from gateway.testing import make_event

CREDENTIAL = "key_never_to_be_seen"
API = ObjectApi(hosts=("api.example.com",), objects=(ObjectPath(url="/orders/{json:id}"),))
EVENT = make_event(source="shop", body={"id": "secret-id"})
START = 1_000_000_000_000_000


@dataclass
class Api:
    """An API that answers as told, with a clock that only pauses move."""

    answers: list[Answer]
    now_us: int = START
    asked: list[tuple[Ask, float]] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)

    async def fetch(self, ask: Ask, seconds: float) -> Answer:
        self.asked.append((ask, seconds))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def sleep(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.now_us += int(seconds * 1e6)
        await asyncio.sleep(0)

    def fetching(self, **options) -> Fetching:
        objects = Objects(API, FetchOptions(**{"credential": CREDENTIAL, "rate": 1e6, **options}))
        return Fetching(Outside(fetch=self.fetch, sources={"shop": objects}, sleep=self.sleep), lambda: self.now_us)

    def deadline(self, seconds: float = 30.0) -> int:
        return self.now_us + int(seconds * 1e6)


def api(*statuses: int, body: bytes = b"{}", **headers: str) -> Api:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Api([Answer(status, named, body) for status in statuses or (200,)])


async def test_the_object_is_asked_for_with_the_credential():
    there = api(body=b'{"id":1}')
    answer = await there.fetching().fetch(EVENT, None, there.deadline())

    ((ask, seconds),) = there.asked
    assert answer.json() == {"id": 1}
    assert (ask.url, ask.headers["authorization"]) == (
        "https://api.example.com/orders/secret-id",
        f"Bearer {CREDENTIAL}",
    )
    assert seconds == 10.0


async def test_another_path_of_the_api_can_be_asked_for():
    there = api()
    await there.fetching().fetch(EVENT, "/customers/1", there.deadline())

    assert there.asked[0][0].url == "https://api.example.com/customers/1"


async def test_a_source_without_fetch_says_so():
    there = api()
    with pytest.raises(GatewayError, match="source other has no `fetch`"):
        await there.fetching().fetch(make_event(source="other"), None, there.deadline())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_passes_ends_the_run_with_a_retry(status):
    there = api(status)
    with pytest.raises(Retry) as caught:
        await there.fetching().fetch(EVENT, None, there.deadline())

    assert (caught.value.after, caught.value.reason) == (None, f"api.example.com answered {status}")


async def test_the_retry_comes_when_the_api_asks_for_it():
    there = api(429, retry_after="120")
    with pytest.raises(Retry) as caught:
        await there.fetching().fetch(EVENT, None, there.deadline())

    assert caught.value.after == 120.0


async def test_an_api_that_asked_for_a_pause_is_not_asked_again_before_its_end():
    there = api(429, 200, retry_after="120")
    fetching = there.fetching()
    with pytest.raises(Retry):
        await fetching.fetch(EVENT, None, there.deadline())
    with pytest.raises(Retry) as caught:
        await fetching.fetch(EVENT, None, there.deadline())

    assert (caught.value.after, len(there.asked)) == (120.0, 1)


async def test_a_short_pause_is_waited_for_within_the_run():
    there = api(429, 200, retry_after="5")
    fetching = there.fetching()
    with pytest.raises(Retry):
        await fetching.fetch(EVENT, None, there.deadline())
    answer = await fetching.fetch(EVENT, None, there.deadline())

    assert (answer.status, there.paused) == (200, [5.0])


@pytest.mark.parametrize("status", [404, 410])
async def test_an_object_that_is_not_there_is_told_apart(status):
    there = api(status)
    with pytest.raises(NotFoundError, match=f"api.example.com answered {status}") as caught:
        await there.fetching().fetch(EVENT, None, there.deadline())

    assert caught.value.status == status


@pytest.mark.parametrize("status", [301, 400, 401, 403, 422])
async def test_a_refusal_names_the_host_and_the_status_alone(status):
    there = api(status, body=CREDENTIAL.encode())
    with pytest.raises(AnswerError) as caught:
        await there.fetching().fetch(EVENT, None, there.deadline())

    assert not isinstance(caught.value, NotFoundError)
    assert caught.value.status == status
    assert CREDENTIAL not in str(caught.value)
    assert "secret-id" not in str(caught.value)


async def test_a_request_has_no_more_time_than_its_run():
    there = api()
    await there.fetching().fetch(EVENT, None, there.deadline(3.0))

    assert there.asked[0][1] == pytest.approx(2.75)


async def test_a_run_without_time_asks_nobody():
    there = api()
    with pytest.raises(Retry, match="no time left to ask"):
        await there.fetching().fetch(EVENT, None, there.deadline(0.1))

    assert there.asked == []


def states(*words: str) -> Api:
    return Api([Answer(200, {}, b'{"state":"%s"}' % word.encode()) for word in words])


FINAL = Final(path="state", values=("paid", "failed"))


async def test_an_object_is_asked_for_again_until_it_is_final():
    there = states("open", "open", "paid")
    answer = await there.fetching(final=FINAL).fetch(EVENT, None, there.deadline())

    assert (answer.json(), there.paused) == ({"state": "paid"}, [0.5, 1.0])


async def test_an_object_that_is_not_final_within_the_run_is_tried_by_another():
    there = states("open")
    with pytest.raises(Retry, match="not final yet"):
        await there.fetching(final=FINAL).fetch(EVENT, None, there.deadline(10.0))

    assert sum(there.paused) < 10.0


async def test_a_path_of_the_handlers_own_need_not_be_final():
    there = states("open")
    answer = await there.fetching(final=FINAL).fetch(EVENT, "/x", there.deadline())

    assert answer.json() == {"state": "open"}


async def test_a_source_is_asked_no_more_often_than_its_rate():
    there = api()

    async def sleep(seconds: float) -> None:
        there.paused.append(seconds)
        await asyncio.sleep(seconds)

    objects = Objects(API, FetchOptions(credential=CREDENTIAL, rate=20.0))
    outside = Outside(fetch=there.fetch, sources={"shop": objects}, sleep=sleep)
    fetching = Fetching(outside, lambda: time.time_ns() // 1000)
    deadline = time.time_ns() // 1000 + 60_000_000
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(fetching.fetch(EVENT, None, deadline) for _ in range(26)))

    # A second's worth at once, the other six one by one.
    assert asyncio.get_running_loop().time() - began >= 0.29
    assert there.paused


async def test_a_run_that_would_outlive_its_turn_gives_way():
    there = api()
    fetching = there.fetching(rate=0.01)
    await fetching.fetch(EVENT, None, there.deadline())
    with pytest.raises(Retry, match="no more often") as caught:
        await fetching.fetch(EVENT, None, there.deadline())

    assert caught.value.after == pytest.approx(100, abs=1)


async def test_a_worker_without_a_client_says_so():
    with pytest.raises(GatewayError, match="no HTTP client"):
        await Fetching(Outside(), lambda: START).post(Ask(url="https://a.example/"), START + 10_000_000)
