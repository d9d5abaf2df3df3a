"""Contracts: what a source requires of its events, compiled; and what an event breaks. Pure.

The bodies are sender-made, so nothing here costs more than their length: patterns are regular expressions of linear
time, verdicts are memoised by the library, and the reasons are looked for only where that is cheap. No reason quotes a
value of the body, nor a name of a field that the schema does not know. No schema is ever fetched.

Imported only where a source has `require`: the library takes 8 MiB.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any

import jsonschema_rs

from gateway.core.event import Event
from gateway.core.paths import parse_path
from gateway.core.requirement import Requirement, Schema, version_reader, widest_last

# Of one event so many reasons are told.
MOST_BREACHES = 3

# A body of n bytes can break a schema in n/2 places, and the library lists all or the first: some 10 us each.
_SMALL_BODY = 65_536
_KNOWN_TYPES = 1000
_LONGEST_POINTER, _LONGEST_WORDS, _LONGEST_NAME = 200, 200, 100
_PATTERNS = jsonschema_rs.RegexOptions()
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_UNIONS = frozenset({"anyOf", "oneOf"})


class SchemaError(ValueError):
    """A schema is none; the message quotes nothing of it. `path` is where in the schema, as keys and indexes."""

    def __init__(self, message: str, path: Sequence[str | int] = ()) -> None:
        super().__init__(message)
        self.path = tuple(path)


@dataclass(frozen=True, slots=True)
class Breach:
    """One way in which an event breaks a contract.

    Attributes:
        pointer: the place in the payload (RFC 6901), `?` for names that the schema does not know.
        rule: what does not hold there, in the schema's own words.
        schema: the schema's name; empty if it is not the schema that is broken.
    """

    pointer: str
    rule: str
    schema: str = ""

    def __str__(self) -> str:
        of = f" ({self.schema})" if self.schema else ""
        return f"{self.pointer or 'payload'}: {self.rule}{of}"


class Contract:
    """All that one source requires.

    Raises:
        SchemaError: a schema is none, or refers to one that is not in it.
        ValueError: a version's place is none.
    """

    def __init__(self, requirements: Iterable[Requirement]) -> None:
        compiled: dict[Schema, _Validator] = {}
        self._all = [_Compiled(requirement, compiled) for requirement in requirements]
        self._of_type = lru_cache(_KNOWN_TYPES)(self._fitting)  # types come from senders: it must stay bounded

    def broken(self, event: Event) -> str:
        """Return what the event breaks, as a dead letter tells it; empty if it fits, or nothing is required of it."""
        return "; ".join(map(str, self.breaches(event) or ()))

    def breaches(self, event: Event) -> Sequence[Breach] | None:
        """Return what the event breaks, empty if it fits; None if nothing is required of its type."""
        wanted = self._of_type(event.type)
        if not wanted:
            return None
        if "opaque" in event.flags:
            return [Breach("", "the body does not parse")]
        try:
            payload = event.json()
        except ValueError:
            return [Breach("", "the body is not JSON")]
        size = len(event.body)
        found = itertools.chain.from_iterable(each.breaches(event, payload, size) for each in wanted)
        return list(itertools.islice(dict.fromkeys(found), MOST_BREACHES))

    def _fitting(self, event_type: str) -> "tuple[_Compiled, ...]":
        return tuple(each for each in self._all if each.pattern.matches(event_type))


class _Compiled:
    """One requirement."""

    def __init__(self, requirement: Requirement, compiled: "dict[Schema, _Validator]") -> None:
        self.pattern = requirement.pattern
        self._version = version_reader(requirement.version) if requirement.version else None
        self._place = _place(requirement.version)
        self._schemas = []
        for versions, schema in sorted(requirement.schemas, key=widest_last):
            if schema not in compiled:
                compiled[schema] = _Validator(schema)
            self._schemas.append((versions, compiled[schema]))

    def breaches(self, event: Event, payload: Any, size: int) -> Iterable[Breach]:
        if self._version is None:
            return self._schemas[0][1].breaches(payload, size)
        version = self._version(event, payload)
        if version is None:
            return [Breach(self._place, "there is no payload version here")]
        for versions, validator in self._schemas:
            if versions.matches(version):
                return validator.breaches(payload, size)
        return [Breach(self._place, f"no schema is for version {_shown(version)}")]


class _Validator:
    """One schema."""

    def __init__(self, schema: Schema) -> None:
        self._name = _capped(schema.name, _LONGEST_NAME)
        self._validator = compile_schema(schema.text)
        tree = json.loads(schema.text)
        self._words = frozenset(_words(tree))
        # The library memoises verdicts, not reasons: where a schema refers back to itself those grow exponentially.
        self._endless = _refers_back(tree)
        self._united = bool(_UNIONS & self._words)

    def breaches(self, payload: Any, size: int) -> Iterable[Breach]:
        if self._validator.is_valid(payload):
            return ()
        return self._reasons(payload, size) or (Breach("", "does not fit", self._name),)

    def _reasons(self, payload: Any, size: int) -> Sequence[Breach]:
        if self._endless or (self._united and size > _SMALL_BODY):
            return ()
        try:
            if size <= _SMALL_BODY:
                found = itertools.islice(self._validator.iter_errors(payload), MOST_BREACHES)
                return [self._breach(error) for error in found]
            self._validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            return (self._breach(error),)
        except ValueError:  # nested more deeply than the library can tell of
            pass
        return ()

    def _breach(self, error: jsonschema_rs.ValidationError) -> Breach:
        steps = (str(step) if isinstance(step, int) else self._known(step) for step in error.instance_path)
        pointer = "".join(f"/{step}" for step in steps)
        return Breach(_capped(pointer, _LONGEST_POINTER), _capped(_rule(error), _LONGEST_WORDS), self._name)

    def _known(self, name: str) -> str:
        return name.replace("~", "~0").replace("/", "~1") if name in self._words else "?"


def compile_schema(text: str) -> jsonschema_rs.Validator:
    """Return the validator of a schema: JSON Schema 2020-12, or the draft that its `$schema` names.

    `format` is a remark there, as 2020-12 has it, whatever the draft.

    Raises:
        SchemaError: it is none, is not JSON, or refers to a schema that is not in it.
    """
    try:
        return jsonschema_rs.validator_for(text, pattern_options=_PATTERNS, validate_formats=False, offline=True)
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(_mistake(error), error.instance_path) from None
    except ValueError:
        raise SchemaError("is not JSON, or nested more than 255 deep") from None


def _mistake(error: jsonschema_rs.ValidationError) -> str:
    keyword = _keyword(error)
    if error.kind.name == "format":
        return "is no regular expression of linear time; those have no look-around and no back-references"
    if error.kind.name == "$ref":
        return "refers to a schema that is not in it, or names an unknown dialect; nothing is fetched"
    return f"is no JSON Schema: breaks its rule {keyword}; see https://json-schema.org"


def _rule(error: jsonschema_rs.ValidationError) -> str:
    """Return the keyword that does not hold, with what it asks for where that is short. All of it is the schema's."""
    kind, keyword = error.kind, _keyword(error)
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return f'{keyword} "{kind.property}"'
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Type):
        return f"{keyword} {' or '.join(sorted(kind.types))}"
    limit = getattr(kind, "limit", None)
    return keyword if limit is None else f"{keyword} {limit}"


def _keyword(error: jsonschema_rs.ValidationError) -> str:
    last = error.schema_path[-1] if error.schema_path else error.kind.name
    if error.kind.name == "falseSchema":
        return last if last in ("additionalProperties", "unevaluatedProperties") else "false"
    return last if isinstance(last, str) else error.kind.name


def _place(version: str) -> str:
    kind, _, path = version.partition(":")
    return "".join(f"/{step}" for step in parse_path(path)) if kind == "json" else version


def _shown(version: str) -> str:
    return _capped("".join(sign if sign.isprintable() else "?" for sign in version), 64)


def _capped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _words(tree: Any) -> Iterator[str]:
    """Return all names and texts of a schema, those of its fields among them."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for child in tree:
            yield from _words(child)
    elif isinstance(tree, dict):
        yield from tree
        for child in tree.values():
            yield from _words(child)


def _refers_back(tree: Any) -> bool:
    """Return whether a schema refers to a part that the reference is within; true if one is more than a pointer."""
    graph: dict[str, set[str]] = {}
    waiting = set(_references(tree))
    try:
        while waiting:
            reference = waiting.pop()
            graph[reference] = set(_references(_at(tree, reference)))
            waiting |= graph[reference] - graph.keys()
        TopologicalSorter(graph).prepare()  # a cycle is a ValueError
    except (LookupError, TypeError, ValueError):
        return True
    return False


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from (str(tree[key]) for key in _REFERENCES if key in tree)
    if isinstance(tree, (dict, list)):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _references(child)


def _at(tree: Any, reference: str) -> Any:
    start, *steps = reference.split("/")
    if start != "#":
        raise LookupError(reference)
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree
