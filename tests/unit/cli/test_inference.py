"""A schema from payloads: each of them fits it, and no value of theirs is in it."""

import json
from functools import reduce
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.inference import NOTHING, join, schema_of, shape_of

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
names = st.sampled_from(["id", "type", "data", "+1", "a@b", "11111", ""]) | st.text(max_size=3)
payloads = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


def inferred(*seen: object) -> dict[str, Any]:
    return schema_of(reduce(join, map(shape_of, seen), NOTHING))


@given(st.lists(payloads, min_size=1, max_size=5))
def test_every_payload_fits_the_schema_inferred_from_all(seen):
    validator = jsonschema_rs.validator_for(inferred(*seen))

    assert all(validator.is_valid(payload) for payload in seen)


@given(st.lists(payloads, max_size=5))
def test_the_order_of_payloads_does_not_matter_but_for_the_order_of_fields(seen):
    def plain(schema: object) -> object:
        return json.loads(json.dumps(schema, sort_keys=True), object_hook=_sorted_lists)

    assert plain(inferred(*seen)) == plain(inferred(*reversed(seen)))


def _sorted_lists(value: dict[str, Any]) -> dict[str, Any]:
    required = {"required": sorted(value["required"])} if isinstance(value.get("required"), list) else {}
    return {**value, **required}


@pytest.mark.parametrize(
    "seen, schema",
    [
        pytest.param([1, 2], {"type": "integer"}, id="whole numbers"),
        pytest.param([1, 2.5], {"type": "number"}, id="numbers"),
        pytest.param([True], {"type": "boolean"}, id="a boolean is no number"),
        pytest.param(["a", None], {"type": ["string", "null"]}, id="a text or null"),
        pytest.param([[1], []], {"type": "array", "items": {"type": "integer"}}, id="an array"),
        pytest.param([[]], {"type": "array"}, id="an empty array"),
        pytest.param(
            [{"a": 1, "b": 2}, {"a": 3}],
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
            id="a field that may lack",
        ),
        pytest.param(
            [{"a": {"b": 1}}, {"a": None}, {"a": {}}],
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"type": ["object", "null"], "properties": {"b": {"type": "integer"}}}},
            },
            id="an object or null",
        ),
        pytest.param(
            [{"a@example.com": 1, "name": "x"}],
            {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
            id="keys that are data",
        ),
        pytest.param(
            [{"one": 1}, {"cus_NffrFeUfNV2Hib9876543": 1}],
            {"type": "object", "additionalProperties": {"type": "integer"}},
            id="a key that looks like an id",
        ),
        pytest.param([], {}, id="nothing seen"),
    ],
)
def test_a_schema_says_what_was_seen(seen, schema):
    assert inferred(*seen) == schema


def test_too_many_names_make_a_map():
    seen = [{f"{chr(97 + number // 26)}{chr(97 + number % 26)}": number} for number in range(150)]

    assert inferred(*seen) == {"type": "object", "additionalProperties": {"type": "integer"}}


@pytest.mark.parametrize("deeper", [lambda inner: {"a": inner}, lambda inner: [inner]], ids=["objects", "arrays"])
def test_depth_is_bounded(deeper):
    payload: Any = "leaf"
    for _ in range(500):
        payload = deeper(payload)

    assert json.dumps(inferred(payload)).count('"type"') < 20


def test_no_value_and_no_key_that_is_data_is_told():
    seen = {"id": "canary1", "to": [{"mail": "canary2"}], "by": {"canary@3": 1}, "x" * 65: 1}

    assert "canary" not in json.dumps(inferred({"event": seen}))
