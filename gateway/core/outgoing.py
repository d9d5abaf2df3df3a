"""Requests that the gateway itself makes, and their answers: values alone. Whoever runs them is given as a `Fetch`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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


class OutgoingError(GatewayError):
    """A request of ours had no answer; the message says why, and names no more of the URL than its host."""


Fetch = Callable[[Ask, float], Awaitable[Answer]]
"""Runs one request within so many seconds; raises `OutgoingError`."""
