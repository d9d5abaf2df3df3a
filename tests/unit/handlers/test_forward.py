import base64
import importlib
from typing import Any

import pytest
from standardwebhooks import Webhook

from gateway import Event, Router
from gateway.core.outgoing import Answer, OutgoingError
from gateway.testing import Answers, Result, make_event, run

URL = "https://billing.example.com/hooks"
SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()
ENVIRON = {"FORWARD_TO": URL, "FORWARD_SECRET": SECRET}


@pytest.fixture
def forward(monkeypatch):
    """The module; it makes its router from the environment as it is imported."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return importlib.import_module("handlers.forward")


def event(**over: Any) -> Event:
    return make_event(**{"body": b'{"id":  1}\r\n', "id": "evt_1", "type": "invoice.paid", "source": "shop", **over})


async def sent(router: Router, answers: Answers, of: Event | None = None) -> Result:
    (result,) = await run(router, of or event(), answers=answers)
    return result


async def test_an_event_goes_on_with_its_exact_bytes_and_verifies_with_the_official_library(forward):
    answers = Answers({URL: 204})
    result = await sent(forward.forwarding(ENVIRON), answers)
    (ask,) = answers.asked

    assert result.outcome == "done"
    assert (ask.method, ask.body, ask.private) == ("POST", b'{"id":  1}\r\n', False)
    assert ask.headers["content-type"] == "application/json"
    Webhook(SECRET).verify(ask.body, dict(ask.headers))


async def test_each_attempt_has_the_same_id(forward):
    answers = Answers({URL: (503, 200)})
    router = forward.forwarding(ENVIRON)
    for _ in range(2):
        await sent(router, answers)
    first, second = answers.asked

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert "." not in first.headers["webhook-id"]


async def test_two_events_have_two_ids(forward):
    answers = Answers({URL: 200})
    for number in (1, 2):
        await sent(forward.forwarding(ENVIRON), answers, event(id=f"evt_{number}"))

    assert len({ask.headers["webhook-id"] for ask in answers.asked}) == 2


async def test_the_receiver_is_told_what_the_event_is(forward):
    answers = Answers({URL: 200})
    await sent(forward.forwarding(ENVIRON), answers, event(id='a"ü\r\nx: y', type="a b"))
    headers = answers.asked[0].headers

    assert (headers["ce-specversion"], headers["ce-source"]) == ("1.0", "/webhooks/shop")
    assert (headers["ce-id"], headers["ce-type"]) == ("a%22%C3%BC%0D%0Ax:%20y", "a%20b")


@pytest.mark.parametrize("kind", [None, "", "text/plain\r\nx: y", "text/pläin"])
async def test_a_content_type_that_no_header_can_hold_is_not_sent(forward, kind):
    answers = Answers({URL: 200})
    await sent(forward.forwarding(ENVIRON), answers, event(content_type=kind))

    assert answers.asked[0].headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 410, 422])
async def test_a_refusal_is_a_dead_letter_with_its_status(forward, status):
    result = await sent(forward.forwarding(ENVIRON), Answers({URL: status}))

    assert (result.outcome, f"billing.example.com answered {status}" in result.error) == ("dead", True)


@pytest.mark.parametrize("said", [408, 425, 429, 500, 503, OutgoingError("billing.example.com: no answer within 10 s")])
async def test_what_may_pass_is_tried_again(forward, said):
    assert (await sent(forward.forwarding(ENVIRON), Answers({URL: said}))).outcome == "retry"


async def test_the_receiver_says_when(forward):
    result = await sent(forward.forwarding(ENVIRON), Answers({URL: Answer(429, {"retry-after": "600"}, b"")}))

    assert "again after 600 s" in result.error


async def test_no_event_chooses_where_it_goes(forward):
    answers = Answers({URL: 200})
    hostile = event(body={"url": "https://evil.example/", "FORWARD_TO": "https://evil.example/"})
    await sent(forward.forwarding(ENVIRON), answers, hostile)

    assert [ask.url for ask in answers.asked] == [URL]


async def test_the_operator_may_allow_this_network(forward):
    environ = {**ENVIRON, "FORWARD_TO": "http://billing.internal:8000/hooks", "FORWARD_PRIVATE": "yes"}
    answers = Answers({"http://billing.internal:8000/hooks": 200})
    await sent(forward.forwarding(environ), answers)

    assert answers.asked[0].private


async def test_types_and_source_narrow_what_goes_on(forward):
    router = forward.forwarding({**ENVIRON, "FORWARD_TYPES": "invoice.*", "FORWARD_SOURCE": "shop"})

    assert router.match(event())
    assert not router.match(event(type="customer.created"))
    assert not router.match(event(source="other"))


received: list[Event] = []


async def receive(of: Event) -> None:
    received.append(of)


async def refuse(of: Event) -> None:
    raise RuntimeError("not now")


async def test_a_function_gets_the_event(forward):
    (result,) = await run(forward.forwarding({"FORWARD_TO": f"{__name__}:receive"}), event())

    assert result.outcome == "done"
    assert [each.id for each in received] == ["evt_1"]


async def test_what_a_function_raises_is_a_failed_run(forward):
    (result,) = await run(forward.forwarding({"FORWARD_TO": f"{__name__}:refuse"}), event())

    assert (result.outcome, "not now" in result.error) == ("retry", True)


@pytest.mark.parametrize(
    "over, said",
    [
        ({"FORWARD_TO": ""}, "FORWARD_TO is not set"),
        ({"FORWARD_TO": "http://billing.example.com/"}, "https://"),
        ({"FORWARD_TO": "ftp://billing.example.com/"}, "https://"),
        ({"FORWARD_TO": "json:nothing"}, "has no function nothing"),
        ({"FORWARD_SECRET": ""}, "FORWARD_SECRET"),
        ({"FORWARD_SECRET": "whsec_dG9vIHNob3J0"}, "FORWARD_SECRET"),
        ({"FORWARD_SECRET": SECRET.removeprefix("whsec_")}, "FORWARD_SECRET"),
        ({"FORWARD_SECRET": "whsec_no base64!"}, "FORWARD_SECRET"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_shows_no_secret(forward, over, said):
    with pytest.raises(ValueError, match=said) as caught:
        forward.forwarding({**ENVIRON, **over})

    assert "whsec_no" not in str(caught.value)
