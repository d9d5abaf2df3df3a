"""Admission: the one decision about a delivery, made over its raw bytes. Pure: `now` comes in as an argument.

Nothing is parsed before the signature holds, and nothing here raises for anything a sender can put in a request.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

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


NO_KEYS: Mapping[str, bytes] = MappingProxyType({})


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery as it came in. Header names are lower case; `repeated` names those that came more than once.

    `keys` are the documents fetched so far for the source (certificates, key sets), by the `NeedsKey.ref` that asked.
    """

    method: str
    query: bytes
    headers: dict[bytes, bytes]
    repeated: frozenset[bytes]
    body: bytes
    received_us: int
    delivery_id: str
    keys: Mapping[str, bytes] = msgspec.field(default_factory=lambda: NO_KEYS)


class Verified(NamedTuple):
    """The label of the secret that matched, and arrival minus signing in seconds, None where no time is signed.

    `message` is what was signed, in pieces; empty where that leaves the body out, or where the scheme does not tell.
    """

    label: str
    age: float | None
    message: tuple[bytes, ...] = ()


class Events(msgspec.Struct, frozen=True, gc=False):
    """Verified. `events` may be empty (an empty batch is acknowledged with nothing stored).

    `signature_age` is arrival minus the signed timestamp, in seconds, None where the scheme signs none. `message` is
    what was signed, as in `Verified`.
    """

    events: tuple[Event, ...]
    secret: str
    signature_age: float | None = None
    message: tuple[bytes, ...] = ()


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """A challenge of the provider, to be answered as prescribed; nothing is stored.

    Attributes:
        ack: the answer.
        secret: the label of the secret that verified it, None for a challenge that need not be signed.
        signature_age: arrival minus the signed timestamp in seconds, where there is one.
        pairing: a secret that the provider sent. It is kept, and the challenge answered, only while the operator has
            opened the source for pairing; otherwise the delivery is refused as unverified.
        visit: a URL to be fetched once, in the background, to confirm a subscription.
    """

    ack: Ack
    secret: str | None = None
    signature_age: float | None = None
    pairing: str | None = None
    visit: str | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Not verified: 401, whatever the reason. `signature_age` is set where a timestamp could be read."""

    reason: RefusedReason
    signature_age: float | None = None


class NeedsKey(msgspec.Struct, frozen=True, gc=False):
    """The scheme's key must be fetched first: the edge fetches it and calls again with it in `Request.keys`.

    A `ref` that is in `Request.keys` already asks for a newer document: the one there lacks the key. If the newest
    one lacks it too, the delivery is not verified (`signature_mismatch`).
    """

    ref: str


Admission = Events | Handshake | Rejected | NeedsKey
