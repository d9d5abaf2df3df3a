"""Text for a terminal. Much of what is shown was written by strangers: it must not steer the terminal. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.event import from_micros

# Controls (C0, DEL, C1), marks and overrides of direction, zero-width characters, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def printable(text: str) -> str:
    """Return `text` with every character that could steer a terminal written as an escape."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return printable(", ".join(f"{key}={child}" for key, child in value.items())) or "-"
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = [str(child) for child in value]
        return printable(("; " if any("," in text for text in texts) else ", ").join(texts)) or "-"
    return printable(str(value))


def moment(micros: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the microsecond."""
    if micros is None:
        return None
    return from_micros(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def span(seconds: float) -> str:
    """Return a length of time for people: `1.5s`, `12m`, `3.2h`, `14d`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + unit
    return f"{seconds:.1f}".removesuffix(".0") + "s"
