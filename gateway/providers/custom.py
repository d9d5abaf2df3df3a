"""`custom`: a provider written in the configuration, in the fields of `gateway.core.provider`.

    scheme:
      key: utf8                       # utf8 | hex | base64, or {encoding: base64, prefix: whsec_}
      message: [timestamp, ".", body] # body | timestamp | method | url | query | header:NAME | any other text
      mac: hmac-sha256                # hmac-sha1 | hmac-sha256 | hmac-sha512 | ed25519 | none (the key itself is sent)
      signature: {header: x-acme-signature, prefix: "v1=", split: ","}
      encoding: hex                   # hex | base64 | base64url | raw
      timestamp: {header: x-acme-signature, prefix: "t=", split: ",", unit: s, tolerance: 300, future: 300}
      methods: [POST]                 # POST | PUT | GET
    event:
      id: "header:x-acme-id"          # expressions of gateway.core.expressions, in texts or lists of terms to be joined
      type: "json:kind"
      time: "json:at"                 # RFC 3339, or a number counted in time_unit (s | ms)
      key: "json:customer.id"
      split: "json:events[*]"         # the array whose elements are the events; then the above read an element

Only `signature` is required. The secrets, the seventh field of a scheme, are the source's own. Worked examples:

1. Hex HMAC of the body, with a prefix:
       scheme: {signature: {header: x-acme-signature, prefix: "sha256="}}
       event:  {id: "header:x-acme-delivery", type: "json:kind"}
2. Timestamp and body, in a list of k=v:
       scheme: {message: [timestamp, ".", body], signature: {header: acme-signature, split: ",", prefix: "v1="},
                timestamp: {header: acme-signature, split: ",", prefix: "t=", tolerance: 180}}
       event:  {id: "json:id", type: "json:type", time: "json:created"}
3. A shared token:
       scheme: {mac: none, encoding: raw, signature: {header: x-acme-token}}
       event:  {id: "json:uuid"}
"""

import re
from collections.abc import Mapping
from typing import get_args

from gateway.core.expressions import Expression, parse_expression
from gateway.core.identity import scope_of
from gateway.core.paths import Skim, Split, parse_path
from gateway.core.provider import (
    Algorithm,
    Encoding,
    Key,
    KeyEncoding,
    Mac,
    Provider,
    Scheme,
    Shape,
    StampUnit,
    Timestamp,
)
from gateway.core.times import Unit
from gateway.providers.drafts import drafted
from gateway.providers.fields import Fields, SchemeError

__all__ = ["EVENT_KEYS", "METHODS", "SCHEME_KEYS", "SchemeError", "provider_from"]

SCHEME_KEYS = ("key", "message", "mac", "signature", "encoding", "timestamp", "methods")
EVENT_KEYS = ("id", "type", "time", "time_unit", "key", "split", "max_elements", "id_is_signed", "body_varies")
METHODS = ("POST", "PUT", "GET")

_SIGNATURE_KEYS = ("header", "prefix", "split")
_TIMESTAMP_KEYS = ("header", "json", "prefix", "split", "unit", "tolerance", "future", "refreshed_on_retry")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def provider_from(scheme: Mapping[str, object], event: Mapping[str, object]) -> Provider:
    """Return the provider that the two mappings of a custom source describe.

    Raises:
        SchemeError: a field is wrong; its path leads there.
    """
    read = _scheme(scheme)
    shape, fields = _shape(event)
    _check_identity(read, shape, fields)
    sends, examples = drafted(read, shape)
    return Provider(
        name="custom",
        title="custom",
        category="other",
        schemes=(read,),
        shapes=(shape,),
        key_hint="the secret as this source's sender shows it",
        body_varies=bool(fields.flag("body_varies")),
        needs_public_url="url" in read.message,
        methods=_methods(Fields(scheme, ("scheme",), SCHEME_KEYS)),
        max_elements=fields.count("max_elements", 1_000),
        sends=sends,
        examples=examples,
    )


def _scheme(values: Mapping[str, object]) -> Scheme:
    fields = Fields(values, ("scheme",), SCHEME_KEYS)
    algorithm: Algorithm = fields.choice("mac", get_args(Algorithm), "hmac-sha256")
    if "signature" not in fields:
        raise SchemeError(fields.at("signature"), "it is missing; write {header: NAME}")
    signature = Fields(fields.raw("signature"), fields.at("signature"), _SIGNATURE_KEYS)
    message = () if algorithm == "none" and "message" not in fields else fields.texts("message", ("body",))
    timestamp = _timestamp(fields)
    _check_message(fields, algorithm, message, timestamp)
    return Scheme(
        header=_header(signature),
        split=signature.text("split"),
        macs=(_mac(fields, algorithm, signature.text("prefix")),),
        message=message,
        timestamp=timestamp,
    )


def _mac(fields: Fields, algorithm: Algorithm, prefix: str) -> Mac:
    usual: dict[Algorithm, Encoding] = {"none": "raw", "ed25519": "base64"}
    encoding: Encoding = fields.choice("encoding", get_args(Encoding), usual.get(algorithm, "hex"))
    if encoding == "raw" and algorithm != "none":
        raise SchemeError(fields.at("encoding"), "raw is for mac: none alone; a signature is hex, base64 or base64url")
    return Mac(algorithm=algorithm, key=_key(fields, algorithm), encoding=encoding, prefix=prefix)


def _key(fields: Fields, algorithm: Algorithm) -> Key:
    usual: KeyEncoding = "base64" if algorithm == "ed25519" else "utf8"
    words: tuple[KeyEncoding, ...] = get_args(KeyEncoding)
    if isinstance(fields.raw("key"), dict):
        inner = Fields(fields.raw("key"), fields.at("key"), ("encoding", "prefix"))
        key = Key(encoding=inner.choice("encoding", words, usual), prefix=inner.text("prefix"))
    else:
        key = Key(encoding=fields.choice("key", words, usual))
    if algorithm == "ed25519" and key.encoding == "utf8":
        raise SchemeError(fields.at("key"), "a public key is written in hex or base64")
    return key


def _timestamp(fields: Fields) -> Timestamp | None:
    if "timestamp" not in fields:
        return None
    inner = Fields(fields.raw("timestamp"), fields.at("timestamp"), _TIMESTAMP_KEYS)
    if ("header" in inner) == ("json" in inner):
        raise SchemeError(inner.path, "one of header and json is needed: where the timestamp stands")
    past = inner.seconds("tolerance", 300.0)
    refreshed = inner.flag("refreshed_on_retry")
    return Timestamp(
        header=_header(inner) if "header" in inner else "",
        json=inner.checked("json", parse_path),
        split=inner.text("split"),
        prefix=inner.text("prefix"),
        unit=inner.choice("unit", get_args(StampUnit), "s"),
        past=past,
        future=inner.seconds("future", past),
        refreshed_on_retry=refreshed is not False,
    )


def _check_message(fields: Fields, algorithm: Algorithm, message: tuple[str, ...], timestamp: Timestamp | None) -> None:
    """Refuse what looks like a signature and protects nothing."""
    place = fields.at("message")
    if algorithm == "none":
        if message or timestamp is not None:
            name = "message" if message else "timestamp"
            raise SchemeError(fields.at(name), "mac: none signs nothing, so there can be none")
        return
    if "body" not in message:
        raise SchemeError(place, "body is missing: anyone could send another one under the same signature")
    for part in message:
        if part.startswith("header:") and _HEADER_NAME.fullmatch(part.removeprefix("header:")) is None:
            raise SchemeError(place, f"{part!r} names no header")
    stamped = timestamp is not None and bool(timestamp.header)
    if stamped and "timestamp" not in message:
        raise SchemeError(fields.at("timestamp"), "it is no part of the message, so anyone could change it")
    if "timestamp" in message and not stamped:
        raise SchemeError(place, "timestamp is a part of it, so scheme.timestamp must name its header")


def _header(fields: Fields) -> str:
    name = fields.text("header")
    if _HEADER_NAME.fullmatch(name) is None:
        raise SchemeError(fields.at("header"), "the name of a header is needed")
    return name.lower()


def _methods(fields: Fields) -> tuple[str, ...]:
    methods = fields.texts("methods", ("POST",))
    for method in methods:
        if method not in METHODS:
            raise SchemeError(fields.at("methods"), f"{method!r} is none of {', '.join(METHODS)}")
    if not methods:
        raise SchemeError(fields.at("methods"), "at least one is needed")
    return methods


def _shape(values: Mapping[str, object]) -> tuple[Shape, Fields]:
    fields = Fields(values, ("event",), EVENT_KEYS)
    shape = Shape(
        id=fields.checked("id", _check_expression) or "body:sha256",
        type=fields.checked("type", _check_expression),
        time=fields.checked("time", _check_expression),
        time_unit=fields.choice("time_unit", get_args(Unit), "s"),
        key=fields.checked("key", _check_expression),
        split=fields.checked("split", Split),
    )
    return shape, fields


def _check_expression(text: str) -> None:
    for join in parse_expression(text):
        for term in join:
            if term.kind == "header" and _HEADER_NAME.fullmatch(term.name) is None:
                raise ValueError(f"{term.name!r} is no header name")


def _check_identity(scheme: Scheme, shape: Shape, fields: Fields) -> None:
    joins = parse_expression(shape.id)
    if shape.split and not all(any(term.kind in _PER_ELEMENT for term in join) for join in joins):
        raise SchemeError(fields.at("id"), "all events of a batch would have this id; use json: or batch:index in it")
    paths = [parse_path(term.name) for join in joins for term in join if term.kind == "json"]
    signed = Expression(shape.id, scope_of(scheme, Skim(paths))).signed
    for name in ("id_is_signed", "body_varies"):
        if fields.flag(name) and not signed:
            raise SchemeError(fields.at(name), "the signature does not cover this id")


_PER_ELEMENT = frozenset({"json", "body", "batch"})
