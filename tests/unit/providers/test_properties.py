"""Whatever a sender puts in a request, admission answers within its taxonomy; what is signed cannot be changed."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.admission import Admission, Events, Handshake, Rejected, Request
from gateway.core.event import Event
from gateway.core.forms import form_fields
from gateway.core.provider import Provider
from gateway.core.source import SignedRequest, SignRequest, Source
from gateway.providers import PROVIDERS
from tests.admitting import NOW_US, custom, delivered, events, request, secret_of, signed, source

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
ALL: dict[str, Provider] = {**PROVIDERS, **CUSTOM}
TOKENS = {"custom token"}
SOURCES: dict[str, Source] = {name: source(provider, secret_of(name)) for name, provider in ALL.items()}
EXAMPLES = [(name, event_type) for name, provider in ALL.items() for event_type in provider.examples]

INTERESTING = st.sampled_from(
    [
        b"",
        b"\x00",
        b"t=1,v1=a",
        b"v1,",
        b"v0=",
        b"sha256=" + b"0" * 64,
        b"\xff\xfe",
        b"1700000000",
        b"," * 50,
        b" " * 50,
        b"key=k,algorithm=HMAC_SHA256",
        b"algorithm=",
        b"application/x-www-form-urlencoded",
        b"9" * 400,
    ]
)
VALUES = INTERESTING | st.binary(max_size=60)
KEYS = st.sampled_from(["id", "type", "event", "data", "object", "event_id", "created", "events", "payload", "at"])
TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=9,
)
BODIES = (
    st.binary(max_size=200)
    | st.sampled_from([b"ssl_check=1", b"payload=%7B", b"[" * 3000, b'{"type": "url_verification"}', b"&" * 2000])
    | TREES.map(lambda value: json.dumps(value).encode())
)


def _names(provider: Provider) -> list[bytes]:
    names = {"content-type", "x-slack-request-timestamp", "x-twilio-webhooks-signature-settings"}
    for scheme in provider.schemes:
        names |= {scheme.header, *scheme.aliases.values()}
        names |= {scheme.timestamp.header} if scheme.timestamp and scheme.timestamp.header else set()
    return sorted(name.encode() for name in names | set(provider.keep_headers))


def _is_sound(admission: Admission, sent: Request) -> None:
    if isinstance(admission, Rejected):
        assert isinstance(admission.reason, str)
        return
    if isinstance(admission, Handshake):
        assert len(admission.ack.body) <= 4096
        return
    assert isinstance(admission, Events)
    for event in admission.events:
        _is_storable(event, sent)


def _is_storable(event: Event, sent: Request) -> None:
    assert 0 < len(event.id) <= 255
    assert event.id.encode()
    assert event.type.encode()
    assert 0 < len(event.key) <= 255
    assert event.key.encode()
    assert event.body in (sent.query if sent.method == "GET" else sent.body)
    assert msgspec.json.encode(event.headers)
    assert list(event.flags) == sorted(set(event.flags))


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_bytes_anywhere_stay_inside_the_taxonomy(name: str, data: st.DataObject) -> None:
    header = st.sampled_from(_names(ALL[name])) | st.binary(min_size=1, max_size=12)
    headers = data.draw(st.dictionaries(header, VALUES, max_size=8))
    sent = Request(
        method=data.draw(st.sampled_from(["POST", "PUT", "GET", "HEAD", "PATCH"])),
        query=data.draw(BODIES),
        headers=headers,
        repeated=frozenset(data.draw(st.sets(header, max_size=2))),
        body=data.draw(BODIES),
        received_us=NOW_US,
        delivery_id="d",
    )

    admission = SOURCES[name].admit(sent, data.draw(st.integers(0, 2**62)))

    _is_sound(admission, sent)


@pytest.mark.parametrize("name", [name for name in ALL if name != "custom body time"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_signed_body_is_admitted_and_storable(name: str, data: st.DataObject) -> None:
    target = SOURCES[name]
    body = data.draw(BODIES)
    kinds = ["application/json", "application/x-www-form-urlencoded", "text/xml"]
    method = ALL[name].methods[0]
    asked = SignRequest(
        body=body,
        now_us=NOW_US,
        event_id=data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=300)),
        event_type="a.b",
        content_type=data.draw(st.sampled_from(kinds)),
        query=body if method == "GET" else b"",
        method=method,
    )
    if name == "twilio" and body.count(b"&") >= 1000:
        return

    sent = delivered(_signed(target, asked))
    admission = target.admit(sent, NOW_US)

    assert isinstance(admission, Events | Handshake)
    _is_sound(admission, sent)


def _signed(target: Source, asked: SignRequest) -> SignedRequest:
    assert target.sign is not None
    return target.sign(asked)


@pytest.mark.parametrize("name, event_type", EXAMPLES)
def test_every_example_is_admitted_as_the_event_it_is(name: str, event_type: str) -> None:
    sent = delivered(signed(SOURCES[name], ALL[name], event_type, event_id="evt_1"))

    (event,) = events(SOURCES[name].admit(sent, NOW_US))

    assert "evt_1" in event.id or ALL[name].shapes[0].id.endswith("body:sha256")
    assert event.type in {event_type, "unknown"}
    assert {"id_missing", "id_invalid", "opaque"}.isdisjoint(event.flags)


@pytest.mark.parametrize("name", [name for name in ALL if name not in TOKENS])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_in_what_is_signed_is_refused(name: str, data: st.DataObject) -> None:
    target, provider = SOURCES[name], ALL[name]
    sent = delivered(signed(target, provider, data.draw(st.sampled_from(list(provider.examples)))))
    altered, part = data.draw(_flipped(provider, sent))

    admission = target.admit(altered, NOW_US)

    if not isinstance(admission, Rejected):
        assert _written(altered, part) == _written(sent, part), part


def _written(sent: Request, part: str) -> object:
    """Return what may be written in several ways: a hex digit's case, a form's escapes."""
    if part == "form":
        return form_fields(sent.body)
    return {name: value.lower() for name, value in sent.headers.items()} if part == "signature" else sent


@st.composite
def _flipped(draw: Any, provider: Provider, sent: Request) -> tuple[Request, str]:
    scheme = next(scheme for scheme in provider.schemes if scheme.header.encode() in sent.headers)
    parts = {"body" if sent.body else "query", "signature"}
    if scheme.timestamp and scheme.timestamp.header:
        parts.add("timestamp")
    part = draw(st.sampled_from(sorted(parts)))
    if part == "body":
        form = provider.name == "twilio" and b"=" in sent.body
        return msgspec.structs.replace(sent, body=_flip(draw, sent.body)), "form" if form else part
    if part == "query":
        return msgspec.structs.replace(sent, query=_flip(draw, sent.query)), part
    name = (scheme.header if part == "signature" or not scheme.timestamp else scheme.timestamp.header).encode()
    flipped = _flip(draw, sent.headers[name])
    return msgspec.structs.replace(sent, headers=dict(sent.headers) | {name: flipped}), "signature"


def _flip(draw: Any, value: bytes) -> bytes:
    at = draw(st.integers(0, len(value) * 8 - 1))
    changed = bytearray(value)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_a_token_alone_admits_any_body() -> None:
    """The trap of shared tokens: what they cover is nothing."""
    target = SOURCES["custom token"]

    assert events(target.admit(request(b'{"uuid": 1}', {"x-acme-token": secret_of("custom token")}), NOW_US))
