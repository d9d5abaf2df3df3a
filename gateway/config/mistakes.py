"""What pydantic finds wrong, told to a person: the place, what is wrong, the remedy. Never the value."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config import model
from gateway.config.problems import KeyPath, did_you_mean, nearest
from gateway.config.references import CREDENTIALS
from gateway.config.report import Report

_KINDS = {
    "string_type": ("must be text", "put it in quotes"),
    "int_type": ("must be a whole number", ""),
    "bool_type": ("must be true or false", ""),
    "list_type": ("must be a list", "write [one, two]"),
    "model_type": ("must be a mapping", "write key: value below it"),
    "dict_type": ("must be a mapping", "write key: value below it"),
    "string_too_short": ("is empty", "give a value, or remove the key"),
    "too_short": ("is empty", "list at least one"),
    "string_pattern_mismatch": ("has a wrong form", "use letters, digits and _, first a letter"),
}
_LIMITS = {"greater_than_equal": ("ge", "more"), "less_than_equal": ("le", "less")}
_QUOTED = re.compile(r"'([^']*)'")
_SECRET_REMEDY = "write {env: NAME} or {file: PATH}; {dev: TEXT} is for development on loopback"  # noqa: S105 - no secret


def report_mistakes(error: ValidationError, path: KeyPath, report: Report) -> None:
    """Report everything `error` holds about the section at `path`; a key that is only misspelt is not missing."""
    found = error.errors(include_url=False)
    meant = {
        nearest(details["loc"][-1], known_keys((*path, *details["loc"][:-1])))
        for details in found
        if _is_unknown(details)
    }
    for details in found:
        if details["type"] != "missing" or details["loc"][-1] not in meant:
            _report_one(details, path, report)


def _is_unknown(details: ErrorDetails) -> bool:
    return details["type"] == "extra_forbidden"


def _report_one(details: ErrorDetails, section: KeyPath, report: Report) -> None:
    kind = details["type"]
    path = (*section, *(part for part in details["loc"] if part != "[key]"))
    if _is_unknown(details):
        report.add(path, "unknown key", _unknown_key(path), at_key=True)
    elif kind == "missing":
        report.add(path[:-1], f"{path[-1]} is missing", _missing(path), at_key=True)
    elif _is_secret(path) and kind == "model_type":
        report.add(path, "a secret is never written here", _SECRET_REMEDY)
    elif path in CREDENTIALS and kind in ("string_type", "string_too_short"):
        report.add(path, "must be a text from elsewhere", "write {env: NAME} or {file: PATH}")
    else:
        message, remedy = _wrong_value(details, kind)
        report.add(path, message, remedy, at_key="[key]" in details["loc"])


def _is_secret(path: KeyPath) -> bool:
    return len(path) == 4 and path[0] == "sources" and path[2] == "secrets"


def _unknown_key(path: KeyPath) -> str:
    if _is_secret(path[:-1]) and path[-1] == "default":
        return "a secret has no default; `dev` is for a development secret, on loopback"
    return did_you_mean(path[-1], known_keys(path[:-1]))


def _missing(path: KeyPath) -> str:
    examples = {
        "provider": "write provider: and one of `gateway providers`",
        "secrets": "write secrets: [{env: NAME}]",
        "use": 'write use: "package.module:attribute"',
        "bootstrap": "write bootstrap: [HOST:PORT]",
        "dsn": "write dsn: {env: DATABASE_URL}",
    }
    return examples.get(str(path[-1]), "add it")


def _wrong_value(details: ErrorDetails, kind: str) -> tuple[str, str]:
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition("; ")
        return message, remedy
    if kind == "literal_error":
        return "is none of the known words", did_you_mean(details["input"], _QUOTED.findall(context["expected"]))
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {context[name]} or {words}", ""
    return _KINDS.get(kind, ("has a wrong form", "see docs/configuration.md"))


def known_keys(path: KeyPath) -> list[str]:
    """Return the keys that may stand at `path`."""
    found = _model_at(path)
    return sorted(found.model_fields) if found is not None else []


def _model_at(path: KeyPath) -> type[BaseModel] | None:
    shape = tuple("*" if index in _NAMED.get(str(path[0]), ()) else part for index, part in enumerate(path))
    return _MODELS.get(shape)


_NAMED = {"sources": (1, 3), "routers": (1,)}
_MODELS: dict[tuple[str | int, ...], type[BaseModel]] = {
    (): model.Configuration,
    ("server",): model.ServerSection,
    ("server", "tls"): model.TlsSection,
    ("log",): model.KafkaLogSection,  # which knows the keys of the other engine, too; so does the next
    ("log", "security"): model.SecuritySection,
    ("log", "security", "oauth"): model.OAuthSection,
    ("log", "topics"): model.TopicsSection,
    ("log", "dedupe"): model.DedupeSection,
    ("store",): model.PostgresStoreSection,
    ("sources", "*"): model.SourceSection,
    ("sources", "*", "secrets", "*"): model.SecretSection,
    ("sources", "*", "quarantine"): model.QuarantineSection,
    ("routers", "*"): model.RouterSection,
}
