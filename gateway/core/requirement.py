"""What a source requires of its events: values, made from the configuration. Pure.

Every requirement whose pattern fits the event's type must hold. Of the schemas of one requirement exactly one is for a
payload version: the one whose pattern says most about it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.core.event import Event
from gateway.core.matching import Pattern
from gateway.core.paths import parse_path

EVERY = Pattern("", open_ended=True)
VersionReader = Callable[[Event, Any], str | None]


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON Schema: its name for messages, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What the events of some types must fit.

    Attributes:
        pattern: the event types.
        schemas: each with the payload versions that it is for.
        version: where an event's payload version stands, `json:PATH` or `header:NAME`; empty if one schema is for all.
    """

    pattern: Pattern
    schemas: tuple[tuple[Pattern, Schema], ...]
    version: str = ""


def version_reader(place: str) -> VersionReader:
    """Return what reads a payload version from an event and its parsed body: a text or a whole number, else None.

    Raises:
        ValueError: the place is none.
    """
    kind, _, rest = place.partition(":")
    if kind == "header" and rest:
        name = rest.lower()
        return lambda event, _: event.headers.get(name) or None
    if kind != "json" or not rest:
        raise ValueError('is no place of a version; write "json:api_version" or "header:NAME"')
    steps = parse_path(rest)

    def read(_: Event, value: Any) -> str | None:
        try:
            for step in steps:
                value = value[step]
        except (LookupError, TypeError):
            return None
        whole = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if whole or (isinstance(value, str) and value) else None

    return read


def widest_last(schema: tuple[Pattern, Schema]) -> tuple[bool, int]:
    """Return the sorting key by which the pattern that says most comes first: literals, then long stems."""
    pattern, _ = schema
    return pattern.open_ended, -len(pattern.stem)
