"""`require` of a source: schemas from files, from the configuration itself, or shipped with the gateway.

Each is compiled here once, so that every mistake shows before anything starts. Paths start at the folder of the
configuration file. No message quotes a value, not even a schema's.
"""

import importlib
import importlib.resources
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from gateway.config.keywords import misspelt
from gateway.config.problems import KeyPath, did_you_mean
from gateway.config.report import Report, Unread
from gateway.core.matching import Pattern, compile_pattern
from gateway.core.requirement import EVERY, Requirement, Schema, version_reader

PROVIDER = "provider"
"""The word for the schemas that are shipped for a provider."""

_VERSIONED = {"version", "schemas"}
_LARGEST = 2**20
_INDEX = "index.json"


def read_require(
    raw: object, path: KeyPath, report: Report, *, provider: str, headers: Collection[str]
) -> tuple[Requirement, ...]:
    """Return what a source of that provider, which keeps those headers, requires; what is wrong is reported."""
    reader = _Reader(path, provider, frozenset(headers), report)
    if raw == PROVIDER:
        return reader.shipped(EVERY, path)
    if not isinstance(raw, dict):
        report.add(path, "must be a mapping", f"write event types with their schemas, or {PROVIDER}")
        return ()
    return tuple(requirement for text, value in raw.items() for requirement in reader.requirements(text, value))


@cache
def shipped_requirements(provider: str) -> tuple[Requirement, ...]:
    """Return what can be required of a provider's events by `provider`, none for most."""
    folder = importlib.resources.files("gateway.providers") / "schemas" / provider
    if not (folder / _INDEX).is_file():
        return ()
    index: Mapping[str, str] = json.loads((folder / _INDEX).read_text())
    return tuple(_shipped(folder, provider, text, name) for text, name in index.items())


def _shipped(folder: Traversable, provider: str, pattern: str, name: str) -> Requirement:
    schema = Schema(f"{provider}/{name}", (folder / f"{name}.json").read_text())
    return Requirement(pattern=compile_pattern(pattern), schemas=((EVERY, schema),))


def schema_file(file: Path) -> Schema:
    """Return the schema in a file.

    Raises:
        Unread: it cannot be read, is no JSON, or no JSON Schema.
    """
    text = _text(file)
    mistake = _mistake_in(text)
    if mistake is not None:
        raise Unread(f"{_pointer(mistake.place) or 'the whole'} of the file {mistake.message}", mistake.remedy)
    return Schema(str(file), text)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
        if len(raw) > _LARGEST:
            raise Unread("the file is larger than 1 MiB", "check its path")
        return raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        remedy = "check its path, which starts at the folder of the configuration file, and who may read it"
        raise Unread(f"the file cannot be read ({cause})", remedy) from None


class _Mistake(NamedTuple):
    """What is wrong in a schema, and where; `at_key` if it is the key."""

    place: KeyPath
    message: str
    remedy: str
    at_key: bool = False


def _mistake_in(text: str) -> _Mistake | None:
    # Few gateways have contracts, and what reads them takes 8 MiB.
    contracts = importlib.import_module("gateway.handle.contracts")
    try:
        contracts.compile_schema(text)
    except contracts.SchemaError as error:
        message, _, remedy = str(error).partition("; ")
        return _Mistake(error.path, message, remedy)
    for place, word in misspelt(json.loads(text)):
        return _Mistake(place, "is no keyword of JSON Schema", f'did you mean "{word}"?', at_key=True)
    return None


def _pointer(place: KeyPath) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the `require` at `path`."""

    path: KeyPath
    provider: str
    headers: frozenset[str]
    report: Report

    def requirements(self, text: str, value: object) -> Iterator[Requirement]:
        """Return what is required of the event types of one pattern."""
        place = (*self.path, text)
        pattern = self._pattern(text, place)
        if pattern is None:
            return
        if value == PROVIDER:
            yield from self.shipped(pattern, place)
        elif isinstance(value, dict) and _VERSIONED & value.keys():
            yield from self._versioned(pattern, value, place)
        else:
            schema = self._schema(value, place)
            if schema is not None:
                yield Requirement(pattern=pattern, schemas=((EVERY, schema),))

    def shipped(self, pattern: Pattern, place: KeyPath) -> tuple[Requirement, ...]:
        """Return what is shipped for event types of the pattern."""
        known = shipped_requirements(self.provider)
        met = [(each, each.pattern.meet(pattern)) for each in known]
        found = tuple(replace(each, pattern=both) for each, both in met if both is not None)
        if not known:
            self.report.add(place, f"no schemas are shipped for provider {self.provider}", "name a file of your own")
        elif not found:
            kinds = ", ".join(str(each.pattern) for each in known)
            self.report.add(place, "no schema is shipped for these event types", f"there are: {kinds}")
        return found

    def _versioned(self, pattern: Pattern, value: dict[str, Any], place: KeyPath) -> Iterator[Requirement]:
        for key in value.keys() - _VERSIONED:
            self.report.add((*place, key), "unknown key", did_you_mean(key, _VERSIONED), at_key=True)
        version, raw = value.get("version"), value.get("schemas")
        if not isinstance(version, str) or not isinstance(raw, dict) or not raw:
            remedy = 'write {version: "json:api_version", schemas: {"2025-*": FILE}}'
            self.report.add(place, "must have a version and schemas", remedy)
            return
        self._check_place(version, (*place, "version"))
        schemas = tuple(self._alternatives(raw, (*place, "schemas")))
        if schemas:
            yield Requirement(pattern=pattern, schemas=schemas, version=version)

    def _check_place(self, version: str, place: KeyPath) -> None:
        try:
            version_reader(version)
        except ValueError:
            self.report.add(place, "is no place of a version", 'write "json:api_version" or "header:NAME"')
        kind, _, name = version.partition(":")
        if kind == "header" and name.lower() not in self.headers:
            self.report.add(place, "is a header that events do not keep", "name it in keep_headers, too")

    def _alternatives(self, raw: dict[str, Any], place: KeyPath) -> Iterator[tuple[Pattern, Schema]]:
        for text, value in raw.items():
            pattern = self._pattern(text, (*place, text))
            if value == PROVIDER:
                self.report.add((*place, text), "stands for no single schema", "write it beside the event type")
                continue
            schema = self._schema(value, (*place, text))
            if pattern is not None and schema is not None:
                yield pattern, schema

    def _pattern(self, text: str, place: KeyPath) -> Pattern | None:
        try:
            return compile_pattern(text)
        except ValueError:
            self.report.add(place, "is no pattern", "write it whole, or with one * at its end", at_key=True)
            return None

    def _schema(self, value: object, place: KeyPath) -> Schema | None:
        if isinstance(value, str):
            return self._from_file(value, place)
        if not isinstance(value, dict):
            remedy = f"name a file, write the schema as a mapping, or {PROVIDER}"
            self.report.add(place, "is no schema", remedy, at_key=value is None)
            return None
        return self._written_here(value, place)

    def _from_file(self, name: str, place: KeyPath) -> Schema | None:
        try:
            return replace(schema_file(self.report.document.file.parent / name), name=name)
        except Unread as reason:
            self.report.add(place, str(reason), reason.remedy)
            return None

    def _written_here(self, value: dict[str, Any], place: KeyPath) -> Schema | None:
        try:
            text = json.dumps(value, allow_nan=False)
        except ValueError:
            self.report.add(place, "holds a number that JSON has no word for", "leave out .inf and .nan")
            return None
        mistake = _mistake_in(text)
        if mistake is not None:
            path = (*place, *mistake.place)
            self.report.add(path, mistake.message, mistake.remedy, at_key=mistake.at_key)
            return None
        return Schema(".".join(map(str, place[2:])), text)
