"""What naive receivers get wrong about which event a delivery is; `tests/provider_mistakes.py` tells the lines."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import msgspec
import pytest

from gateway.core.admission import Request
from gateway.core.event import Event
from gateway.core.expressions import parse_expression
from gateway.core.source import SignedRequest
from tests.admitting import FORM, JSON, NOW, delivered, events, only
from tests.catalogue import shapes
from tests.provider_shape import ProviderShape

SHAPES = shapes()


def _arrived(name: str, sent: SignedRequest) -> Request:
    return msgspec.structs.replace(delivered(sent), keys=SHAPES[name].keys)


@cache
def _named_outside() -> list[str]:
    """Return those whose events are known by a header, before all else, that the proof does not cover."""
    found = []
    for name, shape in SHAPES.items():
        first = [parse_expression(each.id)[0] for each in shape.provider.shapes if each.id]
        outside = all(any(term.kind == "header" and not _covers(shape, term.name) for term in join) for join in first)
        if first and outside and shape.proved and "body" in shape.covers:
            found.append(name)
    return found


def _covers(shape: ProviderShape, header: str) -> bool:
    aliases = shape.provider.schemes[0].aliases
    return aliases.get(header.removeprefix("@"), header) in shape.covers


@pytest.mark.parametrize("name", _named_outside())
def test_an_id_that_nothing_signs_is_bound_to_its_body(name: str) -> None:
    """Whoever replays a body under another id makes a second event of the same digest, which the edge flags."""
    assert {"github", "shopify", "jira"} <= set(_named_outside())
    shape = SHAPES[name]
    asked = replace(shape.example(), event_id="one")
    # The same words, written otherwise.
    body = asked.body + b"&x=1" if asked.content_type.startswith(FORM) else asked.body.replace(b'": ', b'":  ', 1)
    first, other = (
        events(shape.admit(shape.source(), _arrived(name, shape.sign(each))))
        for each in (asked, replace(asked, body=body))
    )

    assert body != asked.body
    for one, another in zip(first, other, strict=True):
        assert one.dedupe_key != another.dedupe_key


def _known(name: str, body: object, **headers: str) -> Event:
    shape = SHAPES[name]
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    arrived = shape.signed_body(encoded, JSON, b"", named)
    return only(shape.admit(shape.source(), arrived))


HUBSPOT = {"eventId": 1, "subscriptionId": 2, "portalId": 3, "appId": 4, "occurredAt": NOW * 1000, "objectId": 5,
           "subscriptionType": "contact.creation", "attemptNumber": 0}  # fmt: skip
SHOPIFY = {"x_shopify_shop_domain": "a.myshopify.com", "x_shopify_topic": "orders/create", "x_shopify_webhook_id": "w"}
WC = {"x_wc_webhook_delivery_id": "d", "x_wc_webhook_id": "7", "x_wc_webhook_topic": "order.updated"}
Pair = Callable[[], tuple[Event, Event]]
SAME: Mapping[str, Pair] = {
    "gitlab, with a new UUID of the request": lambda: (
        _known("gitlab", {"a": 1}, x_gitlab_webhook_uuid="1"), _known("gitlab", {"a": 1}, x_gitlab_webhook_uuid="2"),
    ),
    "hubspot, at another attempt": lambda: (
        _known("hubspot", [HUBSPOT]), _known("hubspot", [{**HUBSPOT, "attemptNumber": 1}]),
    ),
    "paypal, in another transmission": lambda: (
        _known("paypal", {"id": "WH-1"}), _known("paypal", {"id": "WH-1", "links": []}),
    ),
}  # fmt: skip
DIFFERENT: Mapping[str, Pair] = {
    "github, of two hooks under one GUID": lambda: (
        _known("github", {"a": 1}, x_github_delivery="g", x_github_hook_id="1"),
        _known("github", {"a": 1}, x_github_delivery="g", x_github_hook_id="2"),
    ),
    "shopify, of two topics under one event id": lambda: (
        _known("shopify", {"id": 1}, **SHOPIFY, x_shopify_event_id="e"),
        _known("shopify", {"id": 1}, **{**SHOPIFY, "x_shopify_topic": "orders/paid"}, x_shopify_event_id="e"),
    ),
    "woocommerce, of one second": lambda: (
        _known("woocommerce", {"id": 1, "status": "new"}, **WC),
        _known("woocommerce", {"id": 1, "status": "paid"}, **WC),
    ),
    "hubspot, of two subscriptions under one event id": lambda: (
        _known("hubspot", [HUBSPOT]), _known("hubspot", [{**HUBSPOT, "subscriptionId": 9}]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", SAME.values(), ids=SAME)
def test_a_retry_under_what_only_looks_like_an_id_is_the_same_event(made: Pair) -> None:
    first, second = made()

    assert first.id == second.id
    assert first.dedupe_key == second.dedupe_key


@pytest.mark.parametrize("made", DIFFERENT.values(), ids=DIFFERENT)
def test_two_events_under_what_only_looks_like_an_id_are_two(made: Pair) -> None:
    first, second = made()

    assert first.dedupe_key != second.dedupe_key


def test_hooks_that_set_each_other_off_share_gitlab_s_event_uuid_and_are_two_events() -> None:
    shape = SHAPES["gitlab"]
    sent = [shape.sign(replace(shape.example(), event_id=name)) for name in ("one", "two")]
    arrived = [delivered(each, x_gitlab_event_uuid="the same") for each in sent]

    assert len({only(shape.admit(shape.source(), each)).dedupe_key for each in arrived}) == 2


FORMS = [name for name, shape in SHAPES.items() if any(
    example.content_type.startswith("application/x-www-form-urlencoded")
    for example in shape.provider.examples.values()
)]  # fmt: skip


@pytest.mark.parametrize("name", [*FORMS, "github", "braintree"])
def test_a_form_is_verified_and_kept_as_the_bytes_that_came(name: str) -> None:
    assert {"slack", "twilio", "mandrill"} <= set(FORMS)
    shape = SHAPES[name]
    forms = [each for each, example in shape.provider.examples.items() if example.content_type.startswith(FORM)]
    sent = shape.genuine(event_type=forms[0]) if forms else shape.genuine()
    if name == "github":
        sent = shape.sign(shape.asking(b"payload=%7B%22a%22%3A1%7D&x=%c3%A9+%20", FORM))

    for event in events(shape.admit(shape.source(), _arrived(name, sent))):
        assert event.body == sent.body or shape.provider.decode is not None
