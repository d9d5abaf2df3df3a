"""The event: the logical fact that a provider tells us, identified by (source, event id).

Times are whole microseconds since the Unix epoch, so that every engine keeps them alike. The body is the provider's
exact bytes; nothing here ever re-serialises it.
"""

import builtins
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs

import msgspec
import orjson

from gateway.core.decoders import pubsub_payload, sns_payload, xml_json

Flag = Literal[
    "id_missing",  # the provider's id was absent; the body's digest stands in
    "id_invalid",  # the id was too long or held control characters; the body's digest stands in
    "id_conflict",  # an unsigned id came again with another body
    "suspected_replay",  # an old body came under a new unsigned id
    "type_unsigned",  # the event's type was read from a header the signature does not cover
    "opaque",  # verified, but the body does not parse
    "unverified",  # nothing proves who sent it; its source has `allow_unverified`
]
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time of `micros` microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def identity_digest(source: str, event_id: str) -> bytes:
    """Return the 16-byte digest of (source, event id). Names cannot contain NUL, so the parts cannot run together."""
    return hashlib.blake2b(f"{source}\0{event_id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def body_bound_digest(identity: bytes, body_sha256: bytes) -> bytes:
    """Return the 16-byte dedupe key of an event that its id alone does not identify."""
    return hashlib.blake2b(identity + body_sha256, digest_size=16).digest()


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One verified event, as handlers see it. A `msgspec.Struct` because one is built per delivery on the ack path.

    Attributes:
        source: the configured source's name.
        provider: the provider's name (`stripe`, `github`, `custom`, ...).
        id: the event's id as the provider defines it, or the body's digest where it has none (see `flags`).
        type: the provider's word for what happened, `unknown` if it gives none.
        time_us: when the provider says it happened, or None.
        received_us: when the request line arrived.
        key: the ordering key: events of one key are handled in stored order.
        headers: the provider's headers that the source keeps, names in lower case.
        body: the exact bytes: the body, its query string for a GET, or for a batch the element's slice of it.
        content_type: the Content-Type header as sent, or None.
        verified_by: the label of the secret that matched.
        flags: what was odd about this event, sorted.
        delivery_id: the id of the HTTP delivery that brought it, the same as in its log lines and its answer.
        batch_index: the element's place in a batch delivery, or None.
        body_sha256: SHA-256 of `body`, 32 bytes.
        identity: digest of (source, id).
        dedupe_key: what makes two copies the same event: `identity` alone where the signature covers the id and the
            provider varies its body between retries (Stripe); everywhere else `identity` with the body's digest, so
            that one captured request sent again under a future id cannot make the genuine event vanish.
        traceparent: the W3C trace context of the delivery, which nobody signed, or None.
    """

    source: str
    provider: str
    id: str
    type: str
    time_us: int | None
    received_us: int
    key: str
    headers: Mapping[str, str]
    body: bytes
    content_type: str | None
    verified_by: str
    flags: tuple[str, ...]
    delivery_id: str
    batch_index: int | None
    body_sha256: bytes
    identity: bytes
    dedupe_key: bytes
    traceparent: str | None = None

    @property
    def time(self) -> datetime | None:
        """When the provider says it happened (aware, UTC), or None."""
        return None if self.time_us is None else from_micros(self.time_us)

    @property
    def received_at(self) -> datetime:
        """When the delivery arrived (aware, UTC)."""
        return from_micros(self.received_us)

    @property
    def id_is_signed(self) -> bool:
        """Whether (source, id) alone identifies the event, whatever its body: see `dedupe_key`."""
        return self.dedupe_key == self.identity

    def json(self) -> Any:
        """Return the parsed body; for a form with a `payload` field (GitHub, Slack), that field's JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        if self.content_type is not None and self.content_type.lower().startswith("application/x-www-form-urlencoded"):
            payload = self.form().get("payload")
            if payload:
                return orjson.loads(payload[0])
        return orjson.loads(self.body)

    def xml(self) -> Any:
        """Return the XML body as dicts, lists and texts under local names, without attributes; DTDs are refused.

        Raises:
            ValueError: the body is not XML.
        """
        parsed = xml_json(self.body)
        if parsed is None:
            raise ValueError("not XML")
        return orjson.loads(parsed)

    def unwrap(self) -> Any:
        """Return the payload inside an envelope of Amazon SNS or Google Pub/Sub; without one, the body is the payload.

        It is parsed if it is JSON. Otherwise it is SNS's message as text, Pub/Sub's data or the body as bytes.
        """
        payload: str | bytes | None = sns_payload(self.body)
        if payload is None:
            payload = pubsub_payload(self.body)
        if payload is None:
            payload = self.body
        try:
            return orjson.loads(payload)
        except ValueError:
            return payload

    def form(self) -> dict[str, list[str]]:
        """Return the form's fields, each with its values in order.

        Raises:
            ValueError: more than 1,000 fields, or not UTF-8.
        """
        return parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=1000, errors="strict")

    def parse(self, model: "builtins.type[T]") -> T:
        """Return the JSON body as `model`: a msgspec Struct, dataclass, TypedDict, or pydantic model.

        Raises:
            ValueError: the body does not fit the model.
        """
        validate = getattr(model, "model_validate", None)
        if validate is not None:
            return validate(self.json())  # type: ignore[no-any-return]
        return msgspec.convert(self.json(), model)
