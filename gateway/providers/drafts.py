"""Test deliveries for a custom provider: headers and a body that hold its id, type and time where it reads them."""

import json
from collections.abc import Mapping

from gateway.core.expressions import Term, parse_expression
from gateway.core.paths import Path, parse_path
from gateway.core.provider import Example, Scheme, Shape

_STAMPS = {"s": "$time_s", "ms": "${time_s}000", "iso": "$time"}


def drafted(scheme: Scheme, shape: Shape) -> tuple[Mapping[str, str], Mapping[str, Example]]:
    """Return `Provider.sends` and `Provider.examples`."""
    wanted = {"id": shape.id, "type": shape.type, "time": shape.time}
    terms = [(value, term) for value, text in wanted.items() if (term := _single(text)) is not None]
    sends = {part.removeprefix("header:"): "{id}" for part in scheme.message if part.startswith("header:")}
    sends |= {term.name: "{" + value + "}" for value, term in terms if term.kind == "header"}
    return sends, {"example": _example(scheme, shape, terms)}


def _single(text: str) -> Term | None:
    joins = parse_expression(text)
    return joins[0][0] if joins and len(joins[0]) == 1 else None


def _example(scheme: Scheme, shape: Shape, terms: list[tuple[str, Term]]) -> Example:
    form = [f"{term.name}=${value}" for value, term in terms if term.kind == "form"]
    if form:
        return Example("&".join(form), "application/x-www-form-urlencoded")
    element: dict[str, object] = {}
    for value, term in terms:
        if term.kind == "json":
            _put(element, parse_path(term.name), f"${value}")
    whole: dict[str, object] = element
    place = shape.split.removeprefix("json:").removeprefix("$").removesuffix("[*]").removeprefix(".")
    if place:
        whole = {}
        _put(whole, parse_path(place), [element])
    text = json.dumps([element] if shape.split and not place else whole)
    return _stamped(scheme, whole, text)


def _stamped(scheme: Scheme, whole: dict[str, object], text: str) -> Example:
    timestamp = scheme.timestamp
    if timestamp is None or not timestamp.json or text.startswith("["):
        return Example(text)
    _put(whole, parse_path(timestamp.json), "$stamp")
    stamp = _STAMPS[timestamp.unit]
    return Example(json.dumps(whole).replace('"$stamp"', f'"{stamp}"' if timestamp.unit == "iso" else stamp))


def _put(tree: dict[str, object], path: Path, value: object) -> None:
    """Put the value at the path; one through an array is left out."""
    step = path[0]
    if isinstance(step, int):
        return
    if len(path) == 1:
        tree[step] = value
        return
    below = tree.setdefault(step, {})
    if isinstance(below, dict):
        _put(below, path[1:], value)
