"""A source: one configured endpoint, compiled to what the ack path needs. Frozen values, no I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.core.admission import Admission, Request
    from gateway.core.feeds import AddressFeed
    from gateway.core.outgoing import Ask

Verification = Literal["signature", "token", "none"]

OnConflict = Literal["dead", "run", "skip"]
OnReplay = Literal["flag", "refuse"]


@dataclass(frozen=True, slots=True)
class Secret:
    """One active secret. `text` is what the operator configured; it never appears in a repr."""

    label: str
    text: str

    def __repr__(self) -> str:
        return f"Secret(label={self.label!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What an operator may set for any source. None means the provider's default. Times in seconds, sizes in bytes."""

    public_url: str | None = None
    tolerance: float | None = None
    dedupe_window: float | None = None
    max_body: int | None = None
    deadline: float | None = None
    rate: float | None = None
    order_by: str | None = None
    on_conflict: OnConflict = "dead"
    on_replay: OnReplay = "flag"
    allow_ips: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    keep_headers: tuple[str, ...] = ()
    allow_unverified: bool = False
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """The provider's own settings (`Provider.settings`), each as texts; some are secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The answer to a delivery: status, body, content type."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A compiled source.

    `admit` verifies and identifies one delivery; `sign` makes a request this source will accept (for `gateway send`
    and tests), or is None where only the provider holds the private key.
    `accepted` is the provider's prescribed answer, None for the gateway's own.
    `verification`: whether a signature covers deliveries, a shared token alone comes with them, or nothing proves them.
    `key_request` makes the request for a key from `NeedsKey.ref`, None where no scheme needs one; the host of the
    reference was checked before. `pairs` tells whether the provider sends its secret at run time.
    `feed` is set where the addresses that the provider publishes may send, beside those of `allow_ips`.
    """

    name: str
    provider: str
    methods: frozenset[str]
    max_body: int
    deadline: float
    dedupe_window: float
    on_conflict: OnConflict
    on_replay: OnReplay
    rate: float | None
    allow_ips: tuple[str, ...]
    content_types: tuple[str, ...]
    labels: tuple[str, ...]
    id_is_signed: bool
    accepted: Ack | None
    admit: "Callable[[Request, int], Admission]"
    sign: "Callable[[SignRequest], SignedRequest] | None"
    verification: Verification = "signature"
    key_request: "Callable[[str], Ask] | None" = None
    pairs: bool = False
    feed: "AddressFeed | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """What to sign: the body, the time of signing in microseconds, and the values the provider puts in headers."""

    body: bytes
    now_us: int
    event_id: str
    event_type: str
    content_type: str = "application/json"
    query: bytes = b""
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """A request as the provider would send it; the query belongs behind the source's URL."""

    method: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes
