"""Keywords of JSON Schema that are nearly written: the standard takes what it does not know for a remark. Pure."""

import difflib
from collections.abc import Iterator
from typing import Any

from gateway.config.problems import KeyPath

_ONE = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_SEVERAL = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
_NAMED = frozenset(["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"])
_OTHERS = frozenset(
    [
        "$anchor",
        "$comment",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$recursiveAnchor",
        "$recursiveRef",
        "$ref",
        "$schema",
        "$vocabulary",
        "const",
        "contentEncoding",
        "contentMediaType",
        "default",
        "dependentRequired",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "id",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "readOnly",
        "required",
        "title",
        "type",
        "uniqueItems",
        "writeOnly",
    ]
)
_KNOWN = sorted(_ONE | _SEVERAL | _NAMED | _OTHERS)


def misspelt(schema: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Return the place of each key that is no keyword but nearly one, with that one."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        place = (*path, key)
        if key not in _KNOWN:
            near = difflib.get_close_matches(key, _KNOWN, n=1, cutoff=0.8)
            yield from ((place, word) for word in near)
        for deeper, child in _schemas(key, value):
            yield from misspelt(child, (*place, *deeper))


def _schemas(key: str, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    if key in _ONE and isinstance(value, dict):
        yield (), value
    elif key in _SEVERAL and isinstance(value, list):
        yield from (((index,), child) for index, child in enumerate(value))
    elif key in _NAMED and isinstance(value, dict):
        yield from (((name,), child) for name, child in value.items())
