"""What a log line may not hold: bodies, signatures, header values, queries and secrets, nor anything without bound."""

from collections.abc import Collection, Mapping
from typing import Any

import structlog

REDACTED = "[redacted]"

_PRIVATE = (
    "authorization",
    "body",
    "cookie",
    "credential",
    "dsn",
    "header",
    "password",
    "payload",
    "query",
    "secret",
    "signature",
    "token",
)
# Facts about a private thing, not the thing: `body_bytes`, `body_sha256`, `header_names`, `secret_label`.
_FACTS = ("_age", "_bytes", "_count", "_label", "_names", "_sha256")
_ADDRESSES = ("path", "target", "url")

_VALUE_CHARACTERS = 2048
_TRACE_CHARACTERS = 8192
_SCANNED_CHARACTERS = 65536
_ITEMS = 32
_DEPTH = 3
_SHORT_SECRET = 6
_LARGEST_INT = 2**63


class Redactor:
    """A structlog processor: returns the fields with what is private taken out and what is left cut to size.

    Args:
        secrets: texts that may stand in no value, wherever they came from.
        printable: whether to escape control characters, for a terminal.
    """

    def __init__(self, secrets: Collection[str], *, printable: bool) -> None:
        # The longest first, so that a secret that holds another is not left in part.
        self._within = sorted((text for text in secrets if len(text) >= _SHORT_SECRET), key=len, reverse=True)
        # A short one stands in ordinary words too; it is redacted where it is the whole value.
        self._whole = frozenset(text for text in secrets if text)
        self._printable = printable

    def __call__(self, _: Any, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Return the fields cleaned, in their order. Raises nothing for any value."""
        kept: dict[str, Any] = {}
        for name, value in fields.items():
            kept[self._text(str(name), 100)] = self._field(str(name).lower(), value, _DEPTH)
        return kept

    def _field(self, name: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if -_LARGEST_INT <= value < _LARGEST_INT else REDACTED
        if any(word in name for word in _PRIVATE) and not name.endswith(_FACTS):
            return REDACTED
        if name == "exception":
            return self._trace(str(value))
        if name in _ADDRESSES and isinstance(value, str):
            value = _without_query(value)
        return self._value(name, value, depth)

    def _value(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value, _VALUE_CHARACTERS)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        if depth and isinstance(value, Mapping):
            items = list(value.items())[:_ITEMS]
            return {self._text(str(key), 100): self._field(str(key).lower(), each, depth - 1) for key, each in items}
        if depth and isinstance(value, list | tuple | set | frozenset):
            return [self._field(name, each, depth - 1) for each in list(value)[:_ITEMS]]
        return self._text(_shown(value), _VALUE_CHARACTERS)

    def _text(self, text: str, limit: int) -> str:
        if text in self._whole:
            return REDACTED
        text = text[:_SCANNED_CHARACTERS]
        for secret in self._within:
            text = text.replace(secret, REDACTED)
        if len(text) > limit:
            text = f"{text[:limit]}... [cut]"
        return self._clean(text)

    def _trace(self, trace: str) -> str:
        """Keep the trace's end, which says what failed."""
        for secret in self._within:
            trace = trace.replace(secret, REDACTED)
        if len(trace) > _TRACE_CHARACTERS:
            trace = f"[cut] ...{trace[-_TRACE_CHARACTERS:]}"
        return "\n".join(self._clean(line) for line in trace.split("\n"))

    def _clean(self, text: str) -> str:
        if self._printable and not text.isprintable():
            text = "".join(each if each.isprintable() else _escaped(each) for each in text)
        return text.encode("utf-8", "backslashreplace").decode()


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _without_query(address: str) -> str:
    path, mark, _ = address.partition("?")
    return f"{path}?{REDACTED}" if mark else path


def _shown(value: Any) -> str:
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - a value's own code may do anything
        return f"[unprintable {type(value).__name__}]"
