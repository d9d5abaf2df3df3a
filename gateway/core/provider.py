"""A provider: how one sender of webhooks signs, identifies, retries and wants to be answered. Pure data.

Values that say "expression" are in the notation of `gateway.core.expressions`. Times are in seconds, sizes in bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.core.admission import Handshake, NeedsKey, RefusedReason, Rejected, Request, Verified
from gateway.core.feeds import AddressFeed
from gateway.core.objects import ObjectApi
from gateway.core.outgoing import Ask
from gateway.core.source import Ack, Secret, SignedRequest, SignRequest
from gateway.core.times import Unit

KeyEncoding = Literal["utf8", "hex", "base64", "nfkd", "sha1"]
Algorithm = Literal[
    "hmac-sha1", "hmac-sha256", "hmac-sha512", "sha256", "ed25519", "ecdsa-p256-sha256", "rsa-sha256", "none"
]
Encoding = Literal["hex", "base64", "base64url", "raw"]
StampUnit = Literal["s", "ms", "iso"]

DAY = 86_400.0
MiB = 2**20

Message = tuple[bytes, ...]
"""What is signed, in pieces, so that a large body is never copied."""

MessageRule = Callable[[Request], Sequence[Message] | RefusedReason]
"""The messages of which any one may be signed, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a source brings to its provider's rules: its secrets, its public URL, its provider's settings."""

    secrets: tuple[Secret, ...]
    url: str | None
    tolerance: float | None
    values: Mapping[str, tuple[str, ...]] = field(repr=False)

    def value(self, name: str) -> str:
        """Return a setting's one text, empty if it is not set."""
        return next(iter(self.values.get(name, ())), "")


class Claim(NamedTuple):
    """One thing that a delivery must prove: a message, and the texts of which one must be its signature.

    `either` are further messages of which one may be signed in its place.
    """

    message: Message
    candidates: Sequence[bytes]
    either: Sequence[Message] = ()


ClaimsRule = Callable[[Request], Sequence[Claim] | RefusedReason]
"""The claims that must all hold under the same secret, or why there are none."""

Prover = Callable[[Request, int], Verified | Rejected | NeedsKey]
"""Verifies a delivery at a time in microseconds."""

Reply = Callable[[Request, Terms], Handshake | None]
"""Answers a challenge, None where the delivery is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """How the configured text becomes the key.

    Attributes:
        encoding: what the text is, once `prefix` is cut off. `nfkd` is UTF-8 of the text in that normal form, `sha1`
            the text's SHA-1 digest. A public key may be given as PEM whatever the encoding, and so may a private key
            (for tests and development), which can sign as well.
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

    `none` compares the key itself: a shared token, or Basic credentials with `encoding="base64"`. `sha256` is the plain
    digest of the key and the message.
    """

    algorithm: Algorithm = "hmac-sha256"
    key: Key = field(default_factory=Key)
    encoding: Encoding = "hex"
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """When the delivery was signed.

    Attributes:
        header: where it stands; `split` and `prefix` as in the signature, for headers that hold several entries. With
            `split` and no `prefix` it is the first of them.
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
        also: further headers whose entries count as well.
        query: the parameter of the query string that holds a shared token, or what `claims` reads there, for schemes
            without a header.
        split: what separates its entries, any of these characters; empty for a header that is one entry.
        repeats: the provider may send the header several times, each with entries of its own; `split` must then be a
            comma, since that is how repeated headers are joined. Otherwise a repeated one is refused.
        macs: the ways to sign it may hold, told apart by their prefix.
        message: the signed parts in order: `body` (of a GET its query string), `timestamp`, `method`, `url` (the
            source's public URL with the query string), `registered_url` (the public URL alone), `query`,
            `header:NAME`, `header:@ALIAS`; anything else is that text, and text in single quotes is it without them.
        rule: for messages that no list of parts can tell: given what the source brings, the rule.
        claims: for signatures that stand in the body: given the same, what must be proved. It takes the place of
            `header` and `message`.
        prover: for all else (tokens of JWT, certificates): given the same, the whole verification. It takes the place
            of `header`, `macs` and `message`, and raises `ValueError` for a setting it cannot use.
        covers: what `rule`, `claims` or `prover` make sure of: `body`, `query`, `header:NAME`, and where they sign
            selected fields alone, `json:PATH` as the expressions write it.
        seal: makes a test delivery where `claims` or `prover` verify, None where only the provider can.
        timestamp: None where the scheme signs none.
        when: the scheme applies to requests that have this header, or of whose headers this is true. The last scheme
            of a provider applies to all others.
        aliases: names for headers that differ between the schemes of a provider, used as `header:@NAME`.
        signing_query: what `sign` must put behind the URL before signing.
    """

    header: str = ""
    macs: tuple[Mac, ...] = ()
    also: tuple[str, ...] = ()
    query: str = ""
    split: str = ""
    repeats: bool = False
    message: tuple[str, ...] = ("body",)
    rule: Callable[[Terms], MessageRule] | None = None
    claims: Callable[[Terms], ClaimsRule] | None = None
    prover: Callable[[Terms], Prover] | None = None
    covers: tuple[str, ...] = ("body", "query")
    seal: Callable[[Terms, SignRequest], SignedRequest] | None = None
    timestamp: Timestamp | None = None
    when: str | Callable[[Mapping[bytes, bytes]], bool] = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    signing_query: Callable[[SignRequest], bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An event's identity in one shape of delivery. All but `equals`, `split`, `time_unit` are expressions.

    Attributes:
        when: the shape applies where this has a value. The last shape of a provider applies to all else.
        equals: the value it must have, None for any.
        id: the event's id as the provider defines it, the same on every retry.
        type: the provider's word for what happened.
        time: when it happened; a number counts in `time_unit` since the epoch.
        key: the ordering key; the event's id where it has no value.
        split: the array whose elements are the events, such as `[*]`, `events[*]` or, array in array,
            `entry[*].changes[*]`; the expressions then read an element. `lines` splits into lines, or a JSON array. A
            body with no array there is one event, and so is an outer element without an inner array.
        context: names of headers that the events of a batch get, and the expressions for them: what a handler needs
            and only stands outside the element, read by `outer:PATH` and `root:PATH`.
    """

    when: str = ""
    equals: str | None = None
    id: str = ""
    type: str = ""
    time: str = ""
    time_unit: Unit = "s"
    key: str = ""
    split: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A delivery that is a question about the endpoint: it is answered and not stored.

    Attributes:
        when: an expression; the challenge is one where it has a value. Empty: any delivery of `methods`.
        equals: the value it must have, None for any.
        methods: which methods it comes with; empty for all.
        answer: the expression whose value is the body of the answer, at most 1 KiB; empty for an empty body.
        template: the body, with `{}` for the answer as a JSON text; empty for the answer as it is.
        status: of the answer.
        content_type: of the answer.
        signed: whether it must verify. One that need not is answered only if it carries no signature.
        reply: for answers that no expression can give. It takes the place of `answer` and what follows it but
            `signed`, and makes its own checks beside `when`.
    """

    when: str = ""
    equals: str | None = None
    methods: tuple[str, ...] = ()
    answer: str = ""
    template: str = ""
    status: int = 200
    content_type: str = "text/plain"
    signed: bool = True
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value beside the secrets that the provider's rules need, such as PayPal's webhook id.

    Attributes:
        hint: what it is and where to find it.
        needed: whether a source cannot do without.
        many: whether there may be several.
        secret: whether nobody may see it.
        pattern: a regular expression that each fits whole; empty for any text.
    """

    hint: str
    needed: bool = True
    many: bool = False
    secret: bool = False
    pattern: str = ""


Secrets = Literal["needed", "paired", "optional", "none"]
Category = Literal[
    "payments", "commerce", "developer", "messaging", "email", "crm", "identity", "productivity", "cloud", "other"
]


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
        category: what kind of service it is.
        schemes: the first that applies decides; there is no falling back to another.
        shapes: the first that applies is read.
        key_hint: which secret is meant and where to find it.
        secrets: `needed`; `paired`: the provider sends it at run time, and it may be configured too; `optional`: it
            signs nothing, so that without a token of the operator's its source needs `allow_unverified`; `none`: its
            keys are fetched.
        settings: what a source must or may tell beside its secrets.
        key_request: makes the request for a key from its reference.
        decode: makes the JSON that expressions read from a body of another form and its Content-Type; None where it
            cannot. The event keeps the body as it came.
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
        object_api: how handlers get the object that an event only names; None where there is nothing to get.
        setup: steps for `gateway providers NAME`.
        traps: what goes wrong with this provider.
        unsettled: which of these facts nobody could read in its documentation or code.
        docs: where it documents this.
        feed: where it publishes the addresses it sends from, for `allow_ips: [provider]`.
    """

    name: str
    title: str
    category: Category
    schemes: tuple[Scheme, ...]
    shapes: tuple[Shape, ...]
    key_hint: str
    secrets: Secrets = "needed"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    key_request: Callable[[str, Terms], Ask] | None = None
    decode: Callable[[bytes, str], bytes | None] | None = None
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
    object_api: ObjectApi | None = None
    setup: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()
    docs: str = ""
    feed: AddressFeed | None = None
