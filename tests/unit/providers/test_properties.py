"""Whatever a sender puts in a request, admission answers within its taxonomy; what is signed cannot be changed."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.event import Event
from gateway.core.forms import form_fields
from gateway.core.provider import Provider
from gateway.core.source import SignRequest, Source
from gateway.core.verifying import hooked, value_of
from gateway.providers import PROVIDERS
from tests.admitting import NOW_US, custom, delivered, events, request
from tests.catalogue import shapes
from tests.hostile import ANY_BODY, ANY_HEADER, BODIES, EVERY_TOKEN, HEADER_VALUES
from tests.provider_shape import ProviderShape

CUSTOM: dict[str, Provider] = {
    "custom hex": custom(
        {"signature": {"header": "x-acme-signature", "prefix": "sha256="}},
        {"id": "header:x-acme-delivery", "type": "json:kind"},
    ),
    "custom list": custom(
        {
            "message": ["timestamp", ".", "body"],
            "signature": {"header": "acme-signature", "split": ",", "prefix": "v1="},
            "timestamp": {"header": "acme-signature", "split": ",", "prefix": "t=", "tolerance": 180},
        },
        {"id": "json:id", "type": "json:type", "time": "json:created", "split": "events[*]"},
    ),
    "custom token": custom({"mac": "none", "signature": {"header": "x-acme-token"}}, {"id": "json:uuid"}),
    "custom url": custom(
        {
            "mac": "hmac-sha512",
            "encoding": "base64url",
            "message": ["method", "url", "header:x-acme-id", "query", "body"],
            "signature": {"header": "x-acme-signature"},
            "methods": ["PUT"],
        },
        {"id": "header:x-acme-id", "type": "form:type | query:type"},
    ),
    "custom get": custom(
        {"signature": {"header": "x-sign"}, "message": ["body"], "methods": ["GET"]}, {"id": "form:id | body:sha256"}
    ),
    "custom body time": custom(
        {"signature": {"header": "x-sign"}, "timestamp": {"json": "at", "unit": "ms", "tolerance": 60}},
        {"id": "json:id"},
    ),
}
COVERED = {"custom token": frozenset[str](), "custom get": frozenset({"query"})}


def _shape(name: str, provider: Provider) -> ProviderShape:
    data = {"provider": provider, "covers": COVERED.get(name, frozenset({"body"}))}
    made: type[ProviderShape] = type("Custom", (ProviderShape,), data)
    return made()


ALL: dict[str, ProviderShape] = {**shapes(), **{name: _shape(name, provider) for name, provider in CUSTOM.items()}}
SOURCES: dict[str, Source] = {name: shape.source() for name, shape in ALL.items()}
LATEST_US = 250_000_000_000_000_000  # of our own clock: the year 9892
METHODS = st.sampled_from(["POST", "PUT", "GET", "HEAD", "PATCH", "OPTIONS"])


def _names(shape: ProviderShape) -> list[str]:
    provider = shape.provider
    names = {"content-type", "authorization", *shape.proofs(), *provider.keep_headers, *provider.sends}
    for scheme in provider.schemes:
        names |= {*scheme.aliases.values(), *(part[7:] for part in scheme.message if part.startswith("header:"))}
    return sorted(name.lower() for name in names if "@" not in name)


GENUINE: Mapping[str, Request] = {
    name: msgspec.structs.replace(delivered(shape.genuine()), keys=shape.keys) for name, shape in ALL.items()
}


@st.composite
def _sent(draw: Any, name: str) -> Request:
    """Draw any request, or the genuine one with some of its parts replaced."""
    shape, genuine = ALL[name], GENUINE[name]
    header = st.sampled_from([text.encode("latin-1") for text in _names(shape)]) | st.binary(min_size=1, max_size=12)
    altered = draw(st.booleans())
    headers = genuine.headers if altered else {}
    return msgspec.structs.replace(
        genuine,
        method=genuine.method if altered and draw(st.booleans()) else draw(METHODS),
        query=genuine.query if altered and draw(st.booleans()) else draw(ANY_BODY),
        headers=headers | draw(st.dictionaries(header, ANY_HEADER, max_size=4)),
        repeated=frozenset(draw(st.sets(header, max_size=2))) if draw(st.booleans()) else frozenset(),
        body=genuine.body if altered and draw(st.booleans()) else draw(ANY_BODY),
        keys=draw(st.just(shape.keys) | st.dictionaries(st.sampled_from(sorted(shape.keys) or [""]), ANY_BODY)),
    )


def _is_sound(admission: Admission, sent: Request) -> None:
    assert isinstance(admission, Events | Handshake | Rejected | NeedsKey)
    if isinstance(admission, Handshake):
        assert len(admission.ack.body) <= 4096
    if isinstance(admission, Events):
        for event in admission.events:
            _is_storable(event)
            # A decoded batch has elements of its own.
            assert event.body in value_of(sent) or PROVIDERS[event.provider].decode is not None


def _is_storable(event: Event) -> None:
    assert 0 < len(event.id) <= 255
    assert event.id.encode()
    assert event.type.encode()
    assert 0 < len(event.key) <= 255
    assert event.key.encode()
    assert msgspec.json.encode(event.headers)
    assert list(event.flags) == sorted(set(event.flags))


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_bytes_anywhere_stay_inside_the_taxonomy(name: str, data: st.DataObject) -> None:
    sent = data.draw(_sent(name))

    admission = SOURCES[name].admit(sent, data.draw(st.just(NOW_US) | st.integers(0, LATEST_US)))

    _is_sound(admission, sent)


@pytest.mark.parametrize("name", ALL)
def test_what_has_broken_other_readers_stays_inside_it_too(name: str) -> None:
    target, genuine = SOURCES[name], GENUINE[name]
    kinds = [value for value in HEADER_VALUES if b"/" in value]

    for header in _names(ALL[name]):
        for value in HEADER_VALUES:
            sent = msgspec.structs.replace(genuine, headers={**genuine.headers, header.encode(): value})
            _is_sound(target.admit(sent, NOW_US), sent)
    for body in BODIES:
        for kind in kinds:
            headers = {**genuine.headers, b"content-type": kind}
            sent = msgspec.structs.replace(genuine, headers=headers, body=body, query=body)
            _is_sound(target.admit(sent, NOW_US), sent)


@pytest.mark.parametrize("name", [name for name, shape in ALL.items() if any(s.prover for s in shape.provider.schemes)])
def test_no_claim_of_a_token_that_nobody_signed_makes_admission_raise(name: str) -> None:
    target, genuine = SOURCES[name], GENUINE[name]
    for header in {*ALL[name].proofs(), "authorization"}:
        for token in EVERY_TOKEN:
            for value in (token, b"Bearer " + token):
                sent = msgspec.structs.replace(genuine, headers={**genuine.headers, header.encode(): value})
                _is_sound(target.admit(sent, NOW_US), sent)


def _proves_in_body(provider: Provider) -> bool:
    """Return whether not every body can hold a proof, or the time of one."""
    return any(
        scheme.claims or scheme.prover or (scheme.timestamp and scheme.timestamp.json) for scheme in provider.schemes
    )


@pytest.mark.parametrize("name", [name for name, target in SOURCES.items() if target.sign is not None])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_signed_body_is_admitted_and_storable(name: str, data: st.DataObject) -> None:
    shape, target = ALL[name], SOURCES[name]
    body = data.draw(ANY_BODY)
    kinds = ["application/json", "application/x-www-form-urlencoded", "text/xml", "multipart/form-data; boundary=x"]
    method = shape.provider.methods[0]
    asked = SignRequest(
        body=body,
        now_us=shape.at_us,
        event_id=data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=300)),
        event_type="a.b",
        content_type=data.draw(st.sampled_from(kinds)),
        query=body if method == "GET" else b"",
        method=method,
    )
    try:
        sent = msgspec.structs.replace(delivered(shape.sign(asked)), keys=shape.keys)
    except ValueError:
        # Some proofs want a body of the provider's form.
        assert any(hooked(scheme) for scheme in shape.provider.schemes)
        return
    admission = target.admit(sent, shape.at_us)

    assert isinstance(admission, Events | Handshake) or _proves_in_body(shape.provider)
    _is_sound(admission, sent)


def _alterable(name: str) -> bool:
    shape = ALL[name]
    return shape.proved and bool(shape.covers or shape.proofs() & {*shape.genuine().headers})


@pytest.mark.parametrize("name", [name for name in ALL if _alterable(name)])
def test_no_byte_of_what_is_covered_can_be_another(name: str) -> None:
    """Each byte of body, query, signature, time and covered headers is changed in turn."""
    target, genuine, at_us = SOURCES[name], GENUINE[name], ALL[name].at_us

    tried = 0
    for part, altered in _altered(ALL[name], genuine):
        tried += 1
        if isinstance(target.admit(altered, at_us), Events | Handshake):
            assert _meaning(name, altered) == _meaning(name, genuine), part
    assert tried > 10


def _altered(shape: ProviderShape, genuine: Request) -> Iterator[tuple[str, Request]]:
    for part in {"body", "query"} & shape.covers:
        for value in _changes(getattr(genuine, part)):
            yield part, msgspec.structs.replace(genuine, **{part: value})
    for name in {*shape.proofs(), *shape.covers} - {"body", "query"}:
        for value in _changes(genuine.headers.get(name.encode(), b"")):
            headers = {**genuine.headers, name.encode(): value}
            yield name, msgspec.structs.replace(genuine, headers=headers)


def _changes(value: bytes) -> Iterator[bytes]:
    for at, byte in enumerate(value):
        for changed in (bytes([byte ^ 1]), bytes([byte ^ 0x20]), bytes([byte ^ 0x80]), b""):
            yield value[:at] + changed + value[at + 1 :]


def _meaning(name: str, sent: Request) -> object:
    """Return what may be written in several ways: a hex digit's case, what stands between entries, a form's escapes."""
    headers = {key: re.split(rb"[\s,]+", value.lower().strip()) for key, value in sent.headers.items()}
    return headers, _READ.get(name, bytes)(sent.body)


def _pairs(body: bytes) -> object:
    # Signed is each field's name with its value behind it, and nothing between them.
    return sorted(field + value for field, value in form_fields(body) or ())


def _braintree(body: bytes) -> object:
    # The key's name in front of a signature only tells which one to try.
    return [value.rpartition(b"|")[2].lower() for _, value in form_fields(body) or ()]


_READ: Mapping[str, Callable[[bytes], object]] = {
    "aws_sns": msgspec.json.decode,
    "braintree": _braintree,
    "mandrill": _pairs,
    "twilio": _pairs,
}


def test_a_token_alone_admits_any_body() -> None:
    """The trap of shared tokens: what they cover is nothing."""
    target, token = SOURCES["custom token"], ALL["custom token"].secret

    assert events(target.admit(request(b'{"uuid": 1}', {"x-acme-token": token or ""}), NOW_US))
