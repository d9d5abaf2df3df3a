"""A JSON Schema that every one of some payloads fits: which fields there are, of which types, which never lack. Pure.

Of the payloads it keeps names and types, never a value. An object whose keys look like data (ids, addresses), or are
too many, is described as a map, so that its keys do not appear either.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DEEPEST = 16
_MOST_NAMES = 100
_NAME = re.compile(r"[A-Za-z_$+-](?:[A-Za-z_.:$+-]*[0-9]){0,4}[A-Za-z_.:$+-]*")
_LONGEST_NAME = 64
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_ORDER = ("object", "array", "string", "integer", "number", "boolean", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What was seen at one place of some payloads.

    Attributes:
        kinds: the types.
        objects: how many objects.
        fields: the objects' fields, each with how many had it.
        others: what the values of a map are, None where it is none.
        items: what the arrays hold, None where they hold nothing.
    """

    kinds: frozenset[str]
    objects: int = 0
    fields: Mapping[str, "tuple[int, Shape]"] = field(default_factory=dict)
    others: "Shape | None" = None
    items: "Shape | None" = None


NOTHING = Shape(kinds=frozenset())


def shape_of(value: Any, depth: int = 0) -> Shape:
    """Return the shape of one payload; below 16 levels nothing is looked at."""
    if isinstance(value, dict):
        children = value.items() if depth < _DEEPEST else ()
        fields = {name: (1, shape_of(child, depth + 1)) for name, child in children}
        return _as_map_if(Shape(kinds=frozenset({"object"}), objects=1, fields=fields))
    if isinstance(value, list):
        shapes = (shape_of(item, depth + 1) for item in value) if depth < _DEEPEST else ()
        return Shape(kinds=frozenset({"array"}), items=reduce(_join_known, shapes, None))
    return Shape(kinds=frozenset({_KINDS[type(value)]}))


def join(one: Shape, two: Shape) -> Shape:
    """Return the shape of all that both are shapes of."""
    fields = dict(one.fields)
    for name, (count, shape) in two.fields.items():
        before, known = fields.get(name, (0, NOTHING))
        fields[name] = (before + count, join(known, shape))
    both = Shape(
        kinds=one.kinds | two.kinds,
        objects=one.objects + two.objects,
        fields=fields,
        others=_join_known(one.others, two.others),
        items=_join_known(one.items, two.items),
    )
    return _as_map_if(both)


def schema_of(shape: Shape) -> dict[str, Any]:
    """Return the schema that all payloads of the shape fit."""
    wide = shape.kinds - {"integer"} if "number" in shape.kinds else shape.kinds
    kinds = [kind for kind in _ORDER if kind in wide]
    found: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    required = [name for name, (count, _) in shape.fields.items() if count == shape.objects]
    if required:
        found["required"] = required
    if shape.fields:
        found["properties"] = {name: schema_of(child) for name, (_, child) in shape.fields.items()}
    if shape.others is not None:
        found["additionalProperties"] = schema_of(shape.others)
    if shape.items is not None:
        found["items"] = schema_of(shape.items)
    return found


def _join_known(one: Shape | None, two: Shape | None) -> Shape | None:
    if one is None or two is None:
        return one or two
    return join(one, two)


def _as_map_if(shape: Shape) -> Shape:
    """Return the shape as a map's, if it must be one."""
    if shape.others is None and len(shape.fields) <= _MOST_NAMES and all(map(_is_name, shape.fields)):
        return shape
    others = reduce(_join_known, (child for _, child in shape.fields.values()), shape.others)
    return Shape(kinds=shape.kinds, objects=shape.objects, others=others, items=shape.items)


def _is_name(key: str) -> bool:
    return len(key) <= _LONGEST_NAME and _NAME.fullmatch(key) is not None
