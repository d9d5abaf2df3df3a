"""The envelope: how an event is written down. Pure.

Two forms of the same attributes. The embedded log stores a head (one JSON object, version 1, all attributes but the
body) beside the exact body. A Kafka record follows the CloudEvents 1.0 Kafka protocol binding, binary content mode:
the value is the exact body, and the attributes are headers (`ce_*`, `content-type`, `http-<name>`), so that consumers
in any language can read it. Whatever cannot be decoded raises `EnvelopeError` and nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.core.errors import EnvelopeError
from gateway.core.event import Event, from_micros, identity_digest
from gateway.core.tracing import traceparent

VERSION = 1
_SOURCE_PREFIX = "/webhooks/"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Head(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"version": "v"}):
    version: int
    source: str
    provider: str
    id: str
    type: str
    time_us: int | None
    received_us: int
    key: str
    headers: dict[str, str]
    content_type: str | None
    verified_by: str
    flags: tuple[str, ...]
    delivery_id: str
    batch_index: int | None
    body_sha256: bytes
    identity: bytes
    dedupe_key: bytes
    traceparent: str | None = None  # absent in what earlier gateways wrote


class Record(NamedTuple):
    """A Kafka record: key and value as they are written, headers in order."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Head)


def encode(event: Event) -> bytes:
    """Return the head of `event`: a JSON object of every attribute but the body. Digests are base64."""
    head = _Head(
        VERSION,
        event.source,
        event.provider,
        event.id,
        event.type,
        event.time_us,
        event.received_us,
        event.key,
        event.headers,  # type: ignore[arg-type]  # the encoder takes any mapping; copying it would cost as much as encoding
        event.content_type,
        event.verified_by,
        event.flags,
        event.delivery_id,
        event.batch_index,
        event.body_sha256,
        event.identity,
        event.dedupe_key,
        event.traceparent,
    )
    try:
        return _encoder.encode(head)
    except UnicodeEncodeError:  # a lone surrogate, which JSON's escapes can carry and UTF-8 cannot
        return json.dumps(msgspec.to_builtins(head), separators=(",", ":")).encode("ascii")


def decode(head: bytes, body: bytes) -> Event:
    """Return the event that `encode` wrote.

    Raises:
        EnvelopeError: `head` is of a newer version, or no head at all.
    """
    try:
        found = _decode_head(head)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(_why_not(head)) from error
    if found.version != VERSION:
        raise EnvelopeError(_why_not(head))
    return Event(
        source=found.source,
        provider=found.provider,
        id=found.id,
        type=found.type,
        time_us=found.time_us,
        received_us=found.received_us,
        key=found.key,
        headers=found.headers,
        body=body,
        content_type=found.content_type,
        verified_by=found.verified_by,
        flags=found.flags,
        delivery_id=found.delivery_id,
        batch_index=found.batch_index,
        body_sha256=found.body_sha256,
        identity=found.identity,
        dedupe_key=found.dedupe_key,
        traceparent=found.traceparent,
    )


def _decode_head(head: bytes) -> _Head:
    try:
        return _decoder.decode(head)
    except msgspec.DecodeError:
        if b"\\ud" not in head:
            raise
        return msgspec.convert(json.loads(head), _Head)


def _why_not(head: bytes) -> str:
    try:
        version = msgspec.json.decode(head, type=dict[str, msgspec.Raw]).get("v", msgspec.Raw(b"?"))
    except ValueError:
        return "the head is no JSON object"
    text = bytes(version)[:8].decode(errors="replace")
    return "the head lacks an attribute or has a wrong one" if text == str(VERSION) else f"envelope version {text}"


def to_record(event: Event) -> Record:
    """Return `event` as a Kafka record.

    CloudEvents 1.0, Kafka protocol binding 1.0.1, section 3.2 (binary content mode). `ce_time` is the provider's time
    and absent where unknown, or outside the years 1 to 9999 that RFC 3339 can write. Optional attributes are absent
    rather than empty.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", _text(event.id)),
        ("ce_source", _text(_SOURCE_PREFIX + event.source)),
        ("ce_type", _text(event.type)),
        ("ce_provider", _text(event.provider)),
        ("ce_receivedat", _time(event.received_us) or b""),
        ("ce_deliveryid", _text(event.delivery_id)),
        ("ce_bodysha256", event.body_sha256.hex().encode()),
        ("ce_dedupekey", event.dedupe_key.hex().encode()),
        ("ce_verifiedby", _text(event.verified_by)),
        ("ce_envelope", b"%d" % VERSION),
    ]
    optional = (
        ("ce_time", None if event.time_us is None else _time(event.time_us)),
        ("content-type", None if event.content_type is None else _text(event.content_type)),
        ("ce_partitionkey", _text(event.key) or None),
        ("ce_batchindex", None if event.batch_index is None else b"%d" % event.batch_index),
        ("ce_flags", ",".join(event.flags).encode() or None),
        ("ce_traceparent", None if event.traceparent is None else event.traceparent.encode()),
    )
    headers += [(name, value) for name, value in optional if value is not None]
    headers += [(f"http-{name}", _text(value)) for name, value in event.headers.items()]
    return Record(record_key(event), event.body, headers)


def record_key(event: Event) -> bytes:
    """Return the key of the event's record: its ordering key, else its id."""
    return _text(event.key or event.id)


def from_record(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Event:  # noqa: ARG001 - the key repeats an attribute
    """Return the event that `to_record` wrote.

    Raises:
        EnvelopeError: the record is of a newer version, lacks an attribute, or has no value.
    """
    found = dict(headers)
    version = found.get("ce_envelope", b"?")[:8]
    if version != b"%d" % VERSION:
        raise EnvelopeError(f"envelope version {version.decode(errors='replace')}")
    if value is None:
        raise EnvelopeError("the record has no value")
    try:
        return _from_headers(found, value)
    except KeyError as error:
        raise EnvelopeError(f"the record lacks {error.args[0]}") from error
    except (ValueError, OverflowError) as error:
        raise EnvelopeError("the record has a malformed attribute") from error


def _from_headers(found: Mapping[str, bytes], body: bytes) -> Event:
    source = _string(found["ce_source"])
    if not source.startswith(_SOURCE_PREFIX):
        raise EnvelopeError("the record's source is none of ours")
    source = source.removeprefix(_SOURCE_PREFIX)
    event_id = _string(found["ce_id"])
    flags = _string(found.get("ce_flags", b""))
    return Event(
        source=source,
        provider=_string(found["ce_provider"]),
        id=event_id,
        type=_string(found["ce_type"]),
        time_us=_micros(found["ce_time"]) if "ce_time" in found else None,
        received_us=_micros(found["ce_receivedat"]),
        key=_string(found.get("ce_partitionkey", b"")),
        headers={name[5:]: _string(value) for name, value in found.items() if name.startswith("http-")},
        body=body,
        content_type=_string(found["content-type"]) if "content-type" in found else None,
        verified_by=_string(found["ce_verifiedby"]),
        flags=tuple(flags.split(",")) if flags else (),
        delivery_id=_string(found["ce_deliveryid"]),
        batch_index=int(found["ce_batchindex"]) if "ce_batchindex" in found else None,
        body_sha256=bytes.fromhex(_string(found["ce_bodysha256"])),
        identity=identity_digest(source, event_id),
        dedupe_key=bytes.fromhex(_string(found["ce_dedupekey"])),
        traceparent=traceparent(found.get("ce_traceparent")),
    )


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _string(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")


def _time(micros: int) -> bytes | None:
    seconds, rest = divmod(micros, 1_000_000)
    try:
        return b"%b.%06dZ" % (_second(seconds), rest)
    except OverflowError:
        return None


@lru_cache(maxsize=1024)
def _second(seconds: int) -> bytes:
    """Return a second in RFC 3339 without its zone: events that come together share it, and it costs the most."""
    return from_micros(seconds * 1_000_000).isoformat(timespec="seconds").removesuffix("+00:00").encode()


def _micros(value: bytes) -> int:
    moment = datetime.fromisoformat(value.decode("ascii"))
    return (moment - _EPOCH) // timedelta(microseconds=1)
