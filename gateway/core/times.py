"""Provider times in every shape providers send them, as whole microseconds since the epoch. Never `float()`."""

from datetime import UTC, datetime, timedelta
from typing import Literal

Unit = Literal["s", "ms"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCALE = {"s": 1_000_000, "ms": 1_000}
_LATEST_US = 253_402_300_800_000_000  # the year 10000, the first that datetime cannot show
_LONGEST_TEXT = 40


def to_micros(value: object, unit: Unit) -> int | None:
    """Return the time that `value` tells, or None where it tells none.

    A number, or a text of digits with an optional fraction, counts in `unit` since the epoch; any other text is read as
    RFC 3339 (fractions beyond microseconds are cut off, a missing offset is taken for UTC, GitLab's " UTC" is one).
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _bounded(value * _SCALE[unit])
    if isinstance(value, float):
        return _bounded(round(value * _SCALE[unit])) if abs(value) < _LATEST_US else None
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT:
        return _of_digits(value, unit) if value[0].isdigit() and value.isascii() else None
    return None


def _of_digits(text: str, unit: Unit) -> int | None:
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        return _of_text(text)
    scale = _SCALE[unit]
    places = len(str(scale)) - 1
    return _bounded(int(whole) * scale + int(fraction[:places].ljust(places, "0")))


def _of_text(text: str) -> int | None:
    if text.endswith(" UTC"):
        text = text[:-4] + "+00:00"
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _bounded((moment - _EPOCH) // _MICROSECOND)
    except (ValueError, OverflowError):
        return None


def _bounded(micros: int) -> int | None:
    return micros if 0 <= micros < _LATEST_US else None
