"""What an event breaks of what its source requires, and what of it is told."""

import json
import socket
from typing import Any

import pytest

from gateway.core.event import Event
from gateway.core.matching import compile_pattern
from gateway.core.requirement import EVERY, Requirement, Schema
from gateway.handle.contracts import MOST_BREACHES, Breach, Contract, SchemaError, compile_schema
from gateway.testing import make_event

SECRET = "canary-4242"
INVOICE = {"id": "in_1", "data": {"amount": 4200, "lines": [{"sku": "a"}]}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "data": {
            "properties": {
                "amount": {"type": ["integer", "null"], "minimum": 0},
                "lines": {"items": {"required": ["sku"]}},
                "paid~by/whom": {"enum": ["card"]},
                "labels": {"additionalProperties": {"type": "string"}},
                "closed": {"properties": {"a": True}, "additionalProperties": False},
                "reference": {"$ref": "#/$defs/reference"},
            }
        },
    },
    "$defs": {"reference": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"}},
}


def required(pattern: str = "invoice.*", schema: Any = None, name: str = "s.json") -> Requirement:
    text = json.dumps({} if schema is None else schema)
    return Requirement(pattern=compile_pattern(pattern), schemas=((EVERY, Schema(name, text)),))


def versioned(schemas: dict[str, Any], version: str = "json:api_version") -> Requirement:
    listed = tuple((compile_pattern(key), Schema(key, json.dumps(schema))) for key, schema in schemas.items())
    return Requirement(pattern=EVERY, schemas=listed, version=version)


def event(body: object = INVOICE, **over: Any) -> Event:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return make_event(**{"source": "acme", "type": "invoice.paid", "body": raw, **over})


def broken(body: object, schema: dict[str, Any] = SCHEMA) -> list[str]:
    found = Contract([required(schema=schema)]).breaches(event(body))
    assert found is not None
    return [str(breach) for breach in found]


def with_data(**data: object) -> dict[str, object]:
    return {**INVOICE, "data": {**INVOICE["data"], **data}}  # type: ignore[dict-item]


def test_what_fits_breaks_nothing():
    contract = Contract([required(schema=SCHEMA)])

    assert contract.breaches(event()) == []
    assert contract.broken(event()) == ""


@pytest.mark.parametrize(
    "body, told",
    [
        pytest.param({"data": {}}, 'payload: required "id" (s.json)', id="a field lacks"),
        pytest.param({"id": 4242}, "/id: type string (s.json)", id="a wrong type"),
        pytest.param(with_data(amount="4242"), "/data/amount: type integer or null (s.json)", id="one of two types"),
        pytest.param(with_data(amount=-4242), "/data/amount: minimum 0 (s.json)", id="a limit"),
        pytest.param(with_data(lines=[{"sku": 1}, {}]), '/data/lines/1: required "sku" (s.json)', id="an element"),
        pytest.param(with_data(**{"paid~by/whom": SECRET}), "/data/paid~0by~1whom: enum (s.json)", id="a word"),
        pytest.param(with_data(reference=SECRET), "/data/reference: maxLength 3 (s.json)", id="by reference"),
        pytest.param(with_data(labels={SECRET: 1}), "/data/labels/?: type string (s.json)", id="a key that is data"),
        pytest.param(
            with_data(closed={SECRET: 1}), "/data/closed: additionalProperties (s.json)", id="a field too many"
        ),
        pytest.param([SECRET], "payload: type object (s.json)", id="no object at all"),
    ],
)
def test_a_breach_names_place_and_rule_and_no_value(body, told):
    found = broken(body)

    assert told in found
    assert not any(SECRET in text or "4242" in text for text in found)


@pytest.mark.parametrize(
    "over, told",
    [
        pytest.param({"body": b"<xml/>"}, "payload: the body is not JSON", id="not JSON"),
        pytest.param({"body": b""}, "payload: the body is not JSON", id="empty"),
        pytest.param({"flags": ("opaque",)}, "payload: the body does not parse", id="opaque, even if it parses"),
        pytest.param(
            {"body": b"payload={", "content_type": "application/x-www-form-urlencoded"},
            "payload: the body is not JSON",
            id="a form whose payload is no JSON",
        ),
    ],
)
def test_a_body_that_is_no_json_breaks_any_contract(over, told):
    found = Contract([required()]).broken(event(**{"body": b"{}", **over}))

    assert found == told


def test_the_payload_of_a_form_is_what_counts():
    form = {"body": b"payload=%7B%22id%22%3A1%7D", "content_type": "application/x-www-form-urlencoded"}

    assert Contract([required(schema=SCHEMA)]).broken(event(**form)) == "/id: type string (s.json)"


def test_other_types_are_asked_nothing():
    contract = Contract([required("invoice.*", {"required": ["nowhere"]})])

    assert contract.breaches(event(type="customer.created", body=b"no JSON")) is None
    assert contract.broken(event(type="customer.created")) == ""


def test_all_that_is_required_of_a_type_must_hold():
    contract = Contract(
        [required("*", {"required": ["a"]}, "a"), required("invoice.paid", {"required": ["b"]}, "b"), required("x")]
    )

    assert contract.broken(event({})) == 'payload: required "a" (a); payload: required "b" (b)'


def test_what_is_required_twice_is_told_once():
    contract = Contract([required("*", {"required": ["a"]}), required("invoice.*", {"required": ["a"]})])

    assert contract.broken(event({})) == 'payload: required "a" (s.json)'


def test_few_breaches_are_told_in_few_words():
    names = [str(number) + "n" * 5000 for number in range(10)]
    deep: dict[str, Any] = {"required": names}
    for _ in range(50):
        deep = {"properties": {"p" * 60: deep}}
    body: Any = {}
    for _ in range(50):
        body = {"p" * 60: body}

    found = Contract([required(schema=deep, name="s" * 5000)]).broken(event(body))

    assert found.count("required") == MOST_BREACHES
    assert len(found) < 2000


# Payload versions


@pytest.mark.parametrize(
    "version, told",
    [
        pytest.param("2025-09-30.clover", 'payload: required "clover" (2025-09-30.clover)', id="literally"),
        pytest.param("2025-03-31.basil", 'payload: required "basil" (2025-*)', id="by the longest pattern"),
        pytest.param("2019-01-01", 'payload: required "old" (*)', id="by the rest"),
        pytest.param(3, 'payload: required "old" (*)', id="a number"),
        pytest.param(None, "/api_version: there is no payload version here", id="null"),
        pytest.param(True, "/api_version: there is no payload version here", id="no version"),
    ],
)
def test_the_schema_that_says_most_about_the_version_is_asked(version, told):
    schemas = {
        "*": {"required": ["old"]},
        "2025-*": {"required": ["basil"]},
        "2025-09-30.clover": {"required": ["clover"]},
    }

    assert Contract([versioned(schemas)]).broken(event({"api_version": version})) == told


def test_a_version_that_none_is_for_breaks_the_contract_and_is_named():
    contract = Contract([versioned({"2025-*": {}})])

    assert contract.broken(event({"api_version": "2026-01-28.dahlia"})) == (
        "/api_version: no schema is for version 2026-01-28.dahlia"
    )
    assert contract.broken(event({"api_version": "2025-01-01"})) == ""


def test_a_hostile_version_is_shown_short_and_printable():
    told = Contract([versioned({"2025-*": {}})]).broken(event({"api_version": "\x1b[2J\u202e" + "v" * 10_000}))

    assert told.isprintable()
    assert len(told) < 150


def test_a_version_may_stand_in_a_header():
    contract = Contract([versioned({"2025-*": {"required": ["a"]}}, "header:X-Api-Version")])

    assert contract.broken(event({}, headers={"x-api-version": "2025-10"})) == 'payload: required "a" (2025-*)'
    assert contract.broken(event({})) == "header:X-Api-Version: there is no payload version here"


# Schemas


@pytest.mark.parametrize(
    "text, path",
    [
        pytest.param("{", (), id="no JSON"),
        pytest.param("3", (), id="no schema"),
        pytest.param('{"properties": {"a": {"type": "strin"}}}', ("properties", "a", "type"), id="an unknown type"),
        pytest.param('{"required": "id"}', ("required",), id="a wrong value"),
        pytest.param('{"pattern": "("}', ("pattern",), id="no pattern"),
        pytest.param('{"pattern": "(?=a)b"}', ("pattern",), id="a pattern with look-around"),
        pytest.param('{"patternProperties": {"(a)\\\\1": {}}}', ("patternProperties", "(a)\\1"), id="a back-reference"),
        pytest.param('{"$ref": "#/$defs/none"}', (), id="a reference to nothing"),
        pytest.param('{"$schema": "https://example.com/mine"}', (), id="an unknown dialect"),
        pytest.param('{"not": ' * 400 + "{}" + "}" * 400, (), id="nested too deeply"),
    ],
)
def test_what_is_no_schema_is_refused(text, path):
    with pytest.raises(SchemaError) as raised:
        compile_schema(text)

    assert raised.value.path == path


@pytest.mark.parametrize("limit", ["1e400", "123456789012345678901234567890", "-1e400"])
def test_a_limit_beyond_all_numbers_is_one(limit):
    contract = Contract(
        [Requirement(pattern=EVERY, schemas=((EVERY, Schema("s", f'{{"not": {{"const": {limit}}}}}')),))]
    )

    assert contract.broken(event({})) == ""


@pytest.mark.parametrize("reference", ["https://example.com/s.json", "file:///etc/hostname", "other.json", "//h/s"])
@pytest.mark.parametrize("identity", [{}, {"$id": "https://example.com/root.json"}, {"$id": "file:///etc/s.json"}])
def test_nothing_outside_a_schema_is_fetched(reference, identity):
    with pytest.raises(SchemaError, match="nothing is fetched"):
        compile_schema(json.dumps({**identity, "properties": {"a": {"$ref": reference}}}))


def test_no_schema_is_read_even_where_there_is_one(tmp_path):
    (tmp_path / "s.json").write_text("{}")

    with pytest.raises(SchemaError, match="nothing is fetched"):
        compile_schema(json.dumps({"$ref": (tmp_path / "s.json").as_uri()}))


def test_nobody_is_asked_for_a_schema():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/s.json"

        with pytest.raises(SchemaError, match="nothing is fetched"):
            compile_schema(json.dumps({"$ref": url}))

        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_older_drafts_are_understood(draft):
    schema = {"$schema": f"http://json-schema.org/{draft}/schema#", "items": [{"type": "string"}]}

    assert broken([1], schema) == ["/0: type string (s.json)"]


@pytest.mark.parametrize("dialect", ["http://json-schema.org/draft-07/schema#", None])
def test_format_is_a_remark(dialect):
    schema = {"format": "email", **({"$schema": dialect} if dialect else {})}

    assert broken("no address", schema) == []


# What a sender could make costly


UNION = {"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": [name]} for name in ("x", "y")]}


def nested(depth: int) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(depth):
        body = {"a": body}
    return body


@pytest.mark.parametrize(
    "body, schema",
    [
        pytest.param("a" * 1_000_000 + "!", {"pattern": "^(a+)+$"}, id="a pattern that backtracks"),
        pytest.param([{"n": n} for n in range(100_000)] + [{"n": 0}], {"uniqueItems": True}, id="unique items"),
        pytest.param(list(range(500_000)), {"items": {"type": "string"}}, id="broken everywhere"),
        pytest.param([0] * 30_000, {"items": {"type": "string"}}, id="broken everywhere, small"),
        pytest.param(
            list(range(500_000)), {"anyOf": [{"items": {"type": "string"}}, {"maxItems": 1}]}, id="a union, large"
        ),
        pytest.param(nested(400), UNION, id="a union that refers back to itself"),
        pytest.param(nested(900), {**UNION, "$defs": {"n": UNION}}, id="the same, deeper"),
    ],
)
@pytest.mark.timeout(60, method="thread")  # done in a second; what blows up would take hours
def test_a_hostile_body_costs_no_more_than_its_length(body, schema):
    assert broken(body, schema)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$ref": "#"}, id="itself"),
        pytest.param({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}}, id="round about"),
        pytest.param({"$dynamicRef": "#n", "$dynamicAnchor": "n"}, id="dynamically"),
    ],
)
def test_a_schema_that_goes_round_in_circles_ends(schema):
    assert Contract([required(schema={**schema, "type": "array"})]).breaches(event({}))


@pytest.mark.parametrize(
    "body, schema",
    [
        pytest.param(nested(3), UNION, id="it refers back to itself"),
        pytest.param(["x" * 70_000], {"oneOf": [{"maxItems": 0}, {"minItems": 2}]}, id="a union, and a large body"),
    ],
)
def test_where_reasons_would_be_costly_the_schema_alone_is_named(body, schema):
    assert broken(body, schema) == ["payload: does not fit (s.json)"]


def test_of_a_small_body_a_union_is_named():
    assert broken(["x"], {"oneOf": [{"maxItems": 0}, {"minItems": 2}]}) == ["payload: oneOf (s.json)"]


def test_a_schema_with_references_that_do_not_go_back_tells_its_reasons():
    schema = {
        "$ref": "#/$defs/all",
        "$defs": {
            "all": {"properties": {"a": {"$ref": "#/$defs/leaf"}, "b": {"$ref": "#/$defs/leaf"}}},
            "leaf": {"type": "string"},
        },
    }

    assert broken({"a": "x", "b": 1}, schema) == ["/b: type string (s.json)"]


def test_of_a_large_body_the_first_breach_is_told():
    body = {"filler": "x" * 100_000}

    assert broken(body, {"required": ["a", "b"]}) == ['payload: required "a" (s.json)']


def test_a_breach_is_a_value():
    assert Breach("/a", "type string") == Breach("/a", "type string")
