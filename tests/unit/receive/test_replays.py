import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote

import pytest

from gateway.core.admission import Events
from gateway.core.provider import Mac, Scheme
from gateway.providers.github import GITHUB
from gateway.receive.entrance import open_entrance
from gateway.receive.replays import BodyMemory, digest_of
from tests.admitting import FORM, NOW_US, PLAIN, admitted, delivered, request, signed, source
from tests.edge import CountingMeter

FORMED = b"mandrill_events=" + quote('[{"event": "send", "_id": "1"}, {"event": "open", "_id": "1"}]').encode()


def test_an_old_body_under_a_new_id_is_noticed():
    bodies = BodyMemory(10)

    assert not bodies.came_under_another_id(b"digest", "first")
    assert bodies.came_under_another_id(b"digest", "second")


def test_a_redelivery_of_the_same_id_is_none():
    bodies = BodyMemory(10)

    assert not bodies.came_under_another_id(b"digest", "first")
    assert not bodies.came_under_another_id(b"digest", "first")


def test_the_oldest_body_is_forgotten_first():
    bodies = BodyMemory(2)
    for number in range(3):
        bodies.came_under_another_id(b"digest %d" % number, "first")

    assert bodies.came_under_another_id(b"digest 1", "second")
    assert not bodies.came_under_another_id(b"digest 0", "second")


def _memory_of(provider: str, event_type: str | None, body: Callable[[bytes], bytes], **headers: str) -> list[bool]:
    """Return whether a delivery, and the same written differently under another id, are suspected."""
    target, bodies = source(provider), BodyMemory(10)
    sent = signed(target, provider, event_type)
    found = []
    for arrived in (delivered(sent), delivered(sent, body=body(sent.body), **headers)):
        admission = target.admit(arrived, NOW_US)
        assert isinstance(admission, Events)
        (event,) = admission.events
        assert not event.id_is_signed
        found.append(bodies.came_under_another_id(digest_of(event, admission.message), event.id))
    return found


@pytest.mark.parametrize(
    "provider, event_type, body, headers",
    [
        ("twilio", "message.delivered", lambda body: b"&".join(reversed(body.split(b"&"))),
         {"i_twilio_idempotency_token": "another"}),
        ("gitea", None, lambda body: b"payload=" + quote(body).encode(),
         {"content_type": FORM, "x_gitea_delivery": "another"}),
        ("forgejo", None, lambda body: b"payload=" + quote(body).encode(),
         {"content_type": FORM, "x_forgejo_delivery": "another"}),
        ("github", None, lambda body: body, {"x_github_delivery": "another"}),
    ],
)  # fmt: skip
def test_a_body_written_differently_under_the_same_signature_is_the_old_one(
    provider: str, event_type: str | None, body: Callable[[bytes], bytes], headers: Mapping[str, str]
) -> None:
    assert _memory_of(provider, event_type, body, **headers) == [False, True]


def test_an_entrance_that_refuses_replays_is_not_passed_by_another_order_of_the_fields() -> None:
    target = source("twilio", on_replay="refuse")
    entrance = open_entrance(target, CountingMeter(), now=0.0, remembered_bodies=10)
    sent = signed(target, "twilio", "message.delivered")
    body = b"&".join(reversed(sent.body.split(b"&")))
    first = target.admit(delivered(sent), NOW_US)
    again = target.admit(delivered(sent, body=body, i_twilio_idempotency_token="another"), NOW_US)
    assert isinstance(first, Events)
    assert isinstance(again, Events)

    assert entrance.screened(first) is not None
    assert entrance.screened(again) is None


def test_a_batch_is_known_by_its_elements_not_by_what_was_signed_as_a_whole() -> None:
    admission = admitted("mandrill", FORMED, FORM)
    assert isinstance(admission, Events)
    first, second = (digest_of(event, admission.message) for event in admission.events)

    assert first != second
    assert first == admission.events[0].body_sha256


def test_a_message_without_the_body_does_not_stand_for_it() -> None:
    scheme = Scheme(header="x-signature", message=("header:x-github-event",), macs=(Mac(),))
    target = source(replace(GITHUB, schemes=(scheme,)))
    mark = hmac.digest(PLAIN.encode(), b"push", "sha256").hex()
    headers = {"x-signature": mark, "x-github-event": "push", "x-github-delivery": "1"}
    admission = target.admit(request(b"{}", headers), NOW_US)
    assert isinstance(admission, Events)

    assert digest_of(admission.events[0], admission.message) == admission.events[0].body_sha256


def test_what_a_shared_token_proves_is_known_by_its_body() -> None:
    admission = admitted("telegram", b'{"update_id": 1}')
    assert isinstance(admission, Events)

    assert digest_of(admission.events[0], ()) == admission.events[0].body_sha256
    assert digest_of(admission.events[0], admission.message) == admission.events[0].body_sha256
