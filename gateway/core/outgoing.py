"""Requests that the gateway itself makes, and their answers: values alone. Whoever runs them is given as a `Fetch`."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import orjson

from gateway.core.errors import GatewayError

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request.

    Attributes:
        url: in full. Redirects are never followed.
        method: in upper case.
        headers: may hold credentials, so they never appear in a repr.
        body: may, too.
        max_bytes: the largest answer taken.
        private: whether the host may be in this network; without it only public addresses are connected to.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE, repr=False)
    body: bytes = field(default=b"", repr=False)
    max_bytes: int = 2**20
    private: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: names of headers in lower case, of repeated ones the last."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            ValueError: the body is not JSON.
        """
        return orjson.loads(self.body)


class OutgoingError(GatewayError):
    """A request of ours had no answer; the message says why, and names no more of the URL than its host."""


class AnswerError(OutgoingError):
    """A request was answered by a refusal that will not change by itself; `status` is the answer's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(AnswerError):
    """What was asked for is not there (404), not any more (410), or the event names nothing to ask for (0)."""


LONGEST_WAIT = 86_400.0


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """Return the seconds that the answer asks to wait (RFC 9110, section 10.2.3), at most a day; None if it does not.

    Args:
        headers: the answer's, names in lower case.
        now_us: microseconds since the epoch.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_us / 1e6
    return min(max(0.0, math.ceil(seconds)), LONGEST_WAIT)


Fetch = Callable[[Ask, float], Awaitable[Answer]]
"""Runs one request within so many seconds; raises `OutgoingError`."""
