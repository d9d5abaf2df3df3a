"""Admission: the one decision about a delivery, made over its raw bytes. Pure: `now` comes in as an argument.

Nothing is parsed before the signature holds, and nothing here raises for anything a sender can put in a request.
"""

from typing import Literal

import msgspec

from gateway.core.event import Event
from gateway.core.source import Ack

RefusedReason = Literal[
    "signature_missing",
    "signature_malformed",
    "signature_repeated",
    "signature_mismatch",
    "timestamp_missing",
    "timestamp_malformed",
    "timestamp_stale",
    "timestamp_future",
    "body_digest_mismatch",
    "suspected_replay",
    "batch_too_large",
]


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery as it came in. Header names are lower case; `repeated` names those that came more than once."""

    method: str
    query: bytes
    headers: dict[bytes, bytes]
    repeated: frozenset[bytes]
    body: bytes
    received_us: int
    delivery_id: str


class Events(msgspec.Struct, frozen=True, gc=False):
    """Verified. `events` may be empty (an empty batch is acknowledged with nothing stored).

    `signature_age` is arrival minus the signed timestamp, in seconds, None where the scheme signs none.
    """

    events: tuple[Event, ...]
    secret: str
    signature_age: float | None = None


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """A challenge of the provider, to be answered as prescribed; nothing is stored."""

    ack: Ack
    secret: str | None = None
    signature_age: float | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Not verified: 401, whatever the reason. `signature_age` is set where a timestamp could be read."""

    reason: RefusedReason
    signature_age: float | None = None


class NeedsKey(msgspec.Struct, frozen=True, gc=False):
    """The scheme's key must be fetched first; the edge asks `keys` and calls again."""

    ref: str


Admission = Events | Handshake | Rejected | NeedsKey
