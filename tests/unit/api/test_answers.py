"""`ctx.fetch` and `ctx.post` in a handler author's own tests."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway import Answer, AnswerError, Context, Event, GiveUp, NotFoundError, OutgoingError, Router
from gateway.api import Retry
from gateway.testing import Answers, Memory, make_event, run

ROOT = Path(__file__).parents[3]
URL = "https://api.mollie.com/v2/payments/tr_1"
PATHS = "/v2/payments/{form:id}"


def payments() -> Router:
    router = Router("payments", schema="create table if not exists payment (id text primary key, status text)")

    @router.on("*", name="confirm")
    async def confirm(event: Event, ctx: Context) -> None:
        try:
            payment = (await ctx.fetch()).json()
        except NotFoundError as error:
            raise GiveUp("no such payment: a forged ping") from error
        row = {"id": payment["id"], "status": payment["status"]}
        await ctx.tx.execute(
            "insert into payment (id, status) values (:id, :status) on conflict (id) do update set status = :status",
            row,
        )

    return router


def ping() -> Event:
    return make_event(body=b"id=tr_1", content_type="application/x-www-form-urlencoded")


def answering(by_url: Mapping[str, object]) -> Answers:
    return Answers(by_url, named=f"https://api.mollie.com{PATHS}")  # type: ignore[arg-type]


async def test_an_unsigned_ping_is_confirmed_by_the_object() -> None:
    router, answers = payments(), answering({URL: {"id": "tr_1", "status": "paid"}})
    async with Memory(router) as memory:
        (result,) = await run(router, ping(), store=memory, answers=answers)

        assert result.outcome == "done"
        assert await memory.rows("select id, status from payment") == [("tr_1", "paid")]
    assert [(ask.method, ask.url) for ask in answers.asked] == [("GET", URL)]


async def test_a_forged_ping_is_given_up() -> None:
    (result,) = await run(payments(), ping(), answers=answering({URL: 404}))

    assert (result.outcome, "forged" in result.error) == ("dead", True)


@pytest.mark.parametrize(
    "said, told",
    [
        (429, "api.mollie.com answered 429: again, as the policy says"),
        (Answer(503, {"retry-after": "7200"}, b""), "api.mollie.com answered 503: again after 7200 s"),
        (401, "api.mollie.com answered 401"),
        (OutgoingError("api.mollie.com: no answer within 10 s"), "no answer within 10 s"),
    ],
)
async def test_what_did_not_work_is_tried_again_and_says_why(said: object, told: str) -> None:
    (result,) = await run(payments(), ping(), answers=answering({URL: said}))

    assert result.outcome == "retry"
    assert told in result.error


async def test_answers_come_one_after_the_other() -> None:
    router, answers = payments(), answering({URL: (500, {"id": "tr_1", "status": "open"})})
    async with Memory(router) as memory:
        outcomes = [(await run(router, ping(), store=memory, answers=answers))[0].outcome for _ in range(2)]

    assert outcomes == ["retry", "done"]


async def test_what_the_test_did_not_foresee_fails_the_run() -> None:
    (result,) = await run(payments(), ping(), answers=answering({}))

    assert result.outcome == "retry"
    assert f"no answer for GET {URL}" in result.error


async def test_the_object_of_a_known_provider_needs_no_path() -> None:
    seen: list[Answer] = []
    router = Router("invoices")

    @router.on("*", name="look")
    async def look(event: Event, ctx: Context) -> None:
        seen.append(await ctx.fetch())

    event = make_event(provider="stripe", body={"data": {"object": {"object": "invoice", "id": "in_1"}}})
    await run(router, event, answers=Answers({"https://api.stripe.com/v1/invoices/in_1": b'{"paid":true}'}))

    assert [answer.json() for answer in seen] == [{"paid": True}]


async def test_a_post_is_sent_as_it_was_said() -> None:
    router = Router("posts")

    @router.on("*", name="post")
    async def post(event: Event, ctx: Context) -> None:
        await ctx.post("https://a.example/bytes", event.body, headers={"x-a": "1"})
        await ctx.post("https://a.example/json", {"a": [1, None]}, private=True)

    answers = Answers({"https://a.example/bytes": 204, "https://a.example/json": 200})
    (result,) = await run(router, make_event(body=b"\x00raw"), answers=answers)
    raw, json = answers.asked

    assert result.outcome == "done"
    assert (raw.method, raw.body, dict(raw.headers), raw.private) == ("POST", b"\x00raw", {"x-a": "1"}, False)
    assert (json.body, dict(json.headers), json.private) == (
        b'{"a":[1,null]}',
        {"content-type": "application/json"},
        True,
    )


async def test_a_post_that_is_refused_is_an_error_with_its_status() -> None:
    caught: list[AnswerError] = []
    router = Router("posts")

    @router.on("*", name="post")
    async def post(event: Event, ctx: Context) -> None:
        try:
            await ctx.post("https://a.example/secret-path", b"")
        except AnswerError as error:
            caught.append(error)

    await run(router, make_event(), answers=Answers({"https://a.example/secret-path": 403}))

    assert [(str(error), error.status) for error in caught] == [("a.example answered 403", 403)]


async def test_a_context_of_a_run_that_is_over_asks_nobody() -> None:
    kept: list[Context] = []
    router = Router("posts")

    @router.on("*", name="keep")
    async def keep(event: Event, ctx: Context) -> None:
        kept.append(ctx)

    answers = Answers({"https://a.example/": 200})
    await run(router, make_event(), answers=answers)
    for late in (kept[0].post("https://a.example/"), kept[0].fetch()):
        with pytest.raises(TimeoutError):
            await late

    assert answers.asked == []


async def test_the_worked_example_of_the_documentation_does_what_it_says() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "handlers.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        if "keep-payment" in block or "test_a_ping_is_confirmed" in block:
            exec(block, names)

    await names["test_a_ping_is_confirmed"]()


def test_a_retry_may_say_why() -> None:
    assert str(Retry(after=60, reason="a.example is closed")) == "a.example is closed: again after 60 s"
    assert Retry(reason="later").after is None
