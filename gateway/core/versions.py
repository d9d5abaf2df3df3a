"""The version of an event that the stale guard compares: the provider's time, or a whole number at a path. Pure."""

from collections.abc import Callable
from typing import Any

from gateway.core.event import Event
from gateway.core.paths import Path, parse_path

# SQLite and Postgres keep versions as signed 64-bit numbers.
_LARGEST = 2**63 - 1


class VersionError(ValueError):
    """The event holds no whole number at the version's path."""


def compile_version(path: str) -> Callable[[Event], int | None]:
    """Return the function that reads an event's version.

    `time` is the provider's time in microseconds (None where the event has none); `json:a.b[0].c` a whole number in
    the payload, `header:name` one in a kept header; these two raise `VersionError` where there is none.

    Raises:
        ValueError: the path is none of these.
    """
    kind, _, rest = path.partition(":")
    if path == "time":
        return _provider_time
    if kind == "header" and rest:
        name = rest.lower()
        return lambda event: _whole_number(event.headers.get(name), path)
    if kind == "json":
        steps = parse_path(rest)
        return lambda event: _whole_number(_follow(event, steps), path)
    raise ValueError(f'version {path!r} must be "time", "json:a.b" or "header:name"')


def _provider_time(event: Event) -> int | None:
    return event.time_us


def _follow(event: Event, steps: Path) -> Any:
    try:
        value = event.json()
        for step in steps:
            value = value[step]
    except (ValueError, LookupError, TypeError):
        return None
    return value


def _whole_number(value: object, path: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise VersionError(f"no whole number at {path}")
    return value
