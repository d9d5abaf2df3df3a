"""A provider: how one sender of webhooks signs, identifies, retries and wants to be answered. Pure data.

Values that say "expression" are in the notation of `gateway.core.expressions`. Times are in seconds, sizes in bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.admission import RefusedReason, Request
from gateway.core.source import Ack, SignRequest
from gateway.core.times import Unit

KeyEncoding = Literal["utf8", "hex", "base64"]
Algorithm = Literal["hmac-sha1", "hmac-sha256", "hmac-sha512", "ed25519", "none"]
Encoding = Literal["hex", "base64", "base64url", "raw"]
StampUnit = Literal["s", "ms", "iso"]

DAY = 86_400.0
MiB = 2**20

Message = tuple[bytes, ...]
"""What is signed, in pieces, so that a large body is never copied."""

MessageRule = Callable[[Request], Sequence[Message] | RefusedReason]
"""The messages of which any one may be signed, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """How the configured text becomes the key.

    Attributes:
        encoding: what the text is, once `prefix` is cut off.
        prefix: what the text may begin with; with `prefix_needed` it must, or the text is not for this key.
        refuses: beginnings of texts that are not for this key.
    """

    encoding: KeyEncoding = "utf8"
    prefix: str = ""
    prefix_needed: bool = False
    refuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mac:
    """One way to sign: the algorithm, its key, and how an entry of the signature header is written.

    `none` compares the key itself: a shared token, or Basic credentials with `encoding="base64"`.
    """

    algorithm: Algorithm = "hmac-sha256"
    key: Key = field(default_factory=Key)
    encoding: Encoding = "hex"
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """When the delivery was signed.

    Attributes:
        header: where it stands; `split` and `prefix` as in the signature, for headers that hold several entries.
        json: or the path in the body where it stands, for schemes that sign the body alone.
        unit: seconds or milliseconds since the epoch, or RFC 3339.
        past: how old it may be.
        future: how far ahead of our clock it may be.
        refreshed_on_retry: whether each retry carries a new one. If not, `past` must span the retry horizon.
    """

    header: str = ""
    json: str = ""
    split: str = ""
    prefix: str = ""
    unit: StampUnit = "s"
    past: float = 300.0
    future: float = 300.0
    refreshed_on_retry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How a delivery proves its origin.

    Attributes:
        header: the header with the signature.
        split: what separates its entries; empty for a header that is one entry.
        macs: the ways to sign it may hold, told apart by their prefix.
        message: the signed parts in order: `body` (of a GET its query string), `timestamp`, `method`, `url` (the
            source's public URL with the query string), `query`, `header:NAME`, `header:@ALIAS`; anything else is that
            text, and text in single quotes is it without them.
        rule: for messages that no list of parts can tell: given the source's public URL, the rule. It signs the
            body, the query string and no header.
        timestamp: None where the scheme signs none.
        when: the scheme applies to requests that have this header, or of whose headers this is true. The last scheme
            of a provider applies to all others.
        aliases: names for headers that differ between the schemes of a provider, used as `header:@NAME`.
        signing_query: what `sign` must put behind the URL before signing.
    """

    header: str
    macs: tuple[Mac, ...]
    split: str = ""
    message: tuple[str, ...] = ("body",)
    rule: Callable[[str], MessageRule] | None = None
    timestamp: Timestamp | None = None
    when: str | Callable[[Mapping[bytes, bytes]], bool] = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    signing_query: Callable[[SignRequest], bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Where an event's identity stands, for one shape of delivery. All but `split` and `time_unit` are expressions.

    Attributes:
        when: the shape applies where this has a value. The last shape of a provider applies to all else.
        id: the event's id as the provider defines it, the same on every retry.
        type: the provider's word for what happened.
        time: when it happened; a number counts in `time_unit` since the epoch.
        key: the ordering key; the event's id where it has no value.
        split: the array whose elements are the events, such as `[*]` or `events[*]`; the expressions then read an
            element. A body with no array there is one event.
    """

    when: str = ""
    id: str = ""
    type: str = ""
    time: str = ""
    time_unit: Unit = "s"
    key: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A delivery that is a question about the endpoint: it is answered and not stored.

    Attributes:
        when: an expression; the challenge is one whose value is `equals`.
        answer: the expression whose value is the body of the answer, at most 1 KiB; empty for an empty body.
        signed: whether it must verify. One that need not is answered only if it carries no signature.
    """

    when: str
    equals: str
    answer: str = ""
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A body for a test delivery; `$id`, `$type`, `$time` (RFC 3339) and `$time_s` (seconds) are filled in."""

    body: str
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider.

    Attributes:
        name: as in the configuration.
        title: as people write it.
        schemes: the first that applies decides; there is no falling back to another.
        shapes: the first that applies is read.
        key_hint: which secret is meant and where to find it.
        body_varies: a retry of one event may carry another body. With an id that the signature covers, the id alone
            then makes two copies the same event.
        needs_public_url: the signature covers the URL, which only the operator knows behind a proxy.
        challenges: questions about the endpoint.
        accepted: the answer to an accepted or duplicate delivery, None for the gateway's own.
        methods: HTTP methods of deliveries and challenges.
        timeout: after how long the provider gives up, None where unknown.
        retry_horizon: for how long it retries by itself.
        redelivery_horizon: for how long someone may redeliver by hand.
        max_body: the default cap.
        max_elements: the cap of a batch.
        keep_headers: which headers an event keeps. Never a signature, credential or token.
        sends: headers of a test delivery; `{id}`, `{type}`, `{event}` (the type up to its first dot) and `{time}`.
        examples: a test delivery for each of some event types.
        setup: steps for `gateway providers NAME`.
        traps: what goes wrong with this provider.
        docs: where it documents this.
    """

    name: str
    title: str
    schemes: tuple[Scheme, ...]
    shapes: tuple[Shape, ...]
    key_hint: str
    body_varies: bool = False
    needs_public_url: bool = False
    challenges: tuple[Challenge, ...] = ()
    accepted: Ack | None = None
    methods: tuple[str, ...] = ("POST",)
    timeout: float | None = None
    retry_horizon: float = 0.0
    redelivery_horizon: float = 0.0
    max_body: int = MiB
    max_elements: int = 1_000
    keep_headers: tuple[str, ...] = ()
    sends: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    docs: str = ""
