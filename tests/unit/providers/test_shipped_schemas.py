"""The schemas that are shipped: what providers really send fits them, and each of their rules can be broken."""

import copy
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import stripe

from gateway.config.contracts import shipped_requirements
from gateway.config.keywords import misspelt
from gateway.core.requirement import Requirement
from gateway.handle.contracts import Contract
from gateway.providers import PROVIDERS
from gateway.providers.examples import example
from gateway.testing import make_event
from tests.conftest import missing

SHIPPED = ("github", "stripe")
FOLDER = Path(str(files("gateway.providers"))) / "schemas"
EXAMPLES = Path(__file__).parents[3] / ".cache/examples/api.github.com/index.json"
CONTRACTS = {provider: Contract(shipped_requirements(provider)) for provider in SHIPPED}


def broken(provider: str, event_type: str, payload: object) -> str:
    return CONTRACTS[provider].broken(make_event(type=event_type, body=json.dumps(payload).encode()))


def schemas(provider: str) -> Iterator[tuple[Requirement, dict[str, Any]]]:
    for requirement in shipped_requirements(provider):
        [(_, schema)] = requirement.schemas
        yield requirement, json.loads(schema.text)


def github_examples() -> list[tuple[str, dict[str, Any]]]:
    if not EXAMPLES.exists():
        missing("GitHub's example payloads", "run `make .cache/examples`, which needs npm")
    return [
        (f"{group['name']}.{payload['action']}" if payload.get("action") else group["name"], payload)
        for group in json.loads(EXAMPLES.read_text())
        for payload in group["examples"]
    ]


# What is there


@pytest.mark.parametrize("provider", SHIPPED)
def test_every_file_is_named_by_the_index_and_every_name_is_a_file(provider):
    index = json.loads((FOLDER / provider / "index.json").read_text())

    assert {f"{name}.json" for name in index.values()} == {
        file.name for file in (FOLDER / provider).iterdir() if file.name != "index.json"
    }


def test_every_folder_is_of_a_provider():
    assert {folder.name for folder in FOLDER.iterdir() if folder.is_dir()} == set(SHIPPED) & PROVIDERS.keys()


@pytest.mark.parametrize("provider", SHIPPED)
def test_each_schema_says_what_it_is_and_has_no_slip(provider):
    for _, schema in schemas(provider):
        assert (schema["$schema"], bool(schema["title"])) == ("https://json-schema.org/draft/2020-12/schema", True)
        assert list(misspelt(schema)) == []


# GitHub


def test_each_payload_that_github_publishes_fits():
    told = {event_type: broken("github", event_type, payload) for event_type, payload in github_examples()}

    assert {event_type: text for event_type, text in told.items() if text} == {}


def test_the_schemas_are_asked_by_those_payloads():
    types = {event_type for event_type, _ in github_examples()}

    unasked = {str(each.pattern) for each, _ in schemas("github") if not any(map(each.pattern.matches, types))}

    assert unasked == set()


def test_each_field_that_a_schema_requires_is_missed_in_those_payloads():
    payloads = github_examples()
    for requirement, schema in schemas("github"):
        event_type, payload = next(each for each in payloads if requirement.pattern.matches(each[0]))
        for path in required_paths(schema):
            less = copy.deepcopy(payload)
            if cut(less, path):
                assert f'required "{path[-1]}"' in broken("github", event_type, less), (event_type, path)


def required_paths(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield from ((*path, name) for name in schema.get("required", ()))
    for name, child in schema.get("properties", {}).items():
        yield from required_paths(child, (*path, name))


def cut(payload: Any, path: tuple[str, ...]) -> bool:
    """Take one field away; return whether it was there."""
    for name in path[:-1]:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return isinstance(payload, dict) and payload.pop(path[-1], None) is not None


# Test deliveries


@pytest.mark.parametrize(
    "provider, event_type",
    [(provider, event_type) for provider in SHIPPED for event_type in PROVIDERS[provider].examples],
)
def test_each_test_delivery_fits(provider, event_type):
    sent = example(PROVIDERS[provider], event_type, event_id="evt_1", now_us=1_700_000_000_000_000)

    assert CONTRACTS[provider].broken(make_event(type=event_type, body=sent.body)) == ""


# Stripe: its library says which fields an object has, of which type, and which may be null.

OBJECTS: Mapping[str, type] = {
    "account": stripe.Account,
    "charge": stripe.Charge,
    "checkout_session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "invoice": stripe.Invoice,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "payout": stripe.Payout,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "transfer": stripe.Transfer,
}
KINDS = {str: "string", int: "integer", bool: "boolean", float: "number", type(None): "null"}


def kinds(annotation: Any) -> set[str]:
    """Return the JSON types that a field annotated so may have."""
    if annotation in KINDS:
        return {KINDS[annotation]}
    if str(get_origin(annotation)) == "typing.Literal":
        return {KINDS[type(word)] for word in get_args(annotation)}
    if str(get_origin(annotation)) == "typing.Union":
        return {kind for part in get_args(annotation) for kind in kinds(part)}
    return {"object"}


def stripe_object(name: str) -> dict[str, Any]:
    schema = json.loads((FOLDER / "stripe" / f"{name}.json").read_text())
    found: dict[str, Any] = schema["properties"]["data"]["properties"]["object"]
    return found


def test_every_stripe_schema_is_compared_with_the_library():
    assert {file.stem for file in (FOLDER / "stripe").iterdir()} == OBJECTS.keys() | {"event", "index"}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_schema_allows_what_stripes_library_says_a_field_may_be(name):
    fields = stripe_object(name)["properties"]
    assert fields.pop("object") == {"const": OBJECTS[name].OBJECT_NAME}  # type: ignore[attr-defined]

    for field, schema in fields.items():
        allowed = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
        may_be = kinds(OBJECTS[name].__annotations__[field])
        # What is optional there may be null, or only be absent.
        assert may_be - {"null"} <= allowed, field
        assert "null" in allowed or "null" not in may_be or field not in stripe_object(name)["required"], field


STRIPE_TYPES: tuple[str, ...] = get_args(stripe.Event.__annotations__["type"])


def test_every_stripe_pattern_is_of_types_that_there_are():
    for requirement, _ in schemas("stripe"):
        assert any(map(requirement.pattern.matches, STRIPE_TYPES)), str(requirement.pattern)


@pytest.mark.parametrize("event_type", STRIPE_TYPES)
def test_at_most_one_stripe_schema_beside_the_common_one_is_for_a_type(event_type):
    asked = [str(each.pattern) for each, _ in schemas("stripe") if each.pattern.matches(event_type)]

    assert len(asked) <= 2


def stripe_event(kind: str, **over: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": 1_760_000_000,
        "data": {"object": {}},
        "livemode": True,
        "type": kind,
        **over,
    }


INVOICE = {
    "object": "invoice",
    "amount_due": 4900,
    "amount_paid": 0,
    "currency": "usd",
    "customer": "cus_1",
    "status": "draft",
    "metadata": {},
}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(
            stripe_event("invoice.upcoming", data={"object": {**INVOICE, "lines": {"data": []}}}),
            id="an upcoming invoice has no id",
        ),
        pytest.param(
            stripe_event(
                "invoice.created",
                api_version="2020-08-27",
                data={"object": {**INVOICE, "id": "in_1", "subscription": "sub_1", "customer": {"id": "cus_1"}}},
            ),
            id="an older version, its customer expanded",
        ),
        pytest.param(
            stripe_event("invoice.created", api_version=None, data={"object": {**INVOICE, "customer": None}}),
            id="no version, no customer",
        ),
        pytest.param(
            {
                "id": "evt_test_65R1",
                "object": "v2.core.event",
                "type": "v1.billing.meter.error_report_triggered",
                "livemode": False,
                "created": "2025-09-17T06:20:52.246Z",
                "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
            },
            id="a thin event",
        ),
        pytest.param(stripe_event("balance.available", data={"object": {"object": "balance"}}), id="no id at all"),
    ],
)
def test_stripes_odd_events_fit(payload):
    assert broken("stripe", payload["type"], payload) == ""


@pytest.mark.parametrize(
    "payload, told",
    [
        pytest.param(stripe_event("x", object="charge"), "/object: enum", id="no event"),
        pytest.param(stripe_event("x", data={}), '/data: required "object"', id="no object"),
        pytest.param(stripe_event("x", created="now"), "/created: type integer", id="a time in words"),
        pytest.param(
            stripe_event("invoice.paid", data={"object": {**INVOICE, "object": "charge"}}),
            "/data/object/object: const",
            id="another object",
        ),
        pytest.param(
            stripe_event("invoice.paid", data={"object": {**INVOICE, "amount_paid": "49.00"}}),
            "/data/object/amount_paid: type integer",
            id="an amount in words",
        ),
    ],
)
def test_what_a_stripe_handler_relies_on_is_missed(payload, told):
    assert told in broken("stripe", payload["type"], payload)
