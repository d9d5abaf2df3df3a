"""Which event a verified delivery is: ids absent or impossible, bodies that do not parse, types, keys, flags."""

import hashlib
import json
from dataclasses import replace

import pytest

from gateway.core.event import Event, body_bound_digest, identity_digest
from gateway.core.provider import Provider, Shape
from gateway.core.source import SignRequest
from tests.admitting import NOW_US, custom, events, only, request, source

SCHEME = {"signature": {"header": "x-sign"}}
DEEP = b"[" * 100_000


def _event(body: bytes, event: dict[str, object], headers: dict[str, str] | None = None, **options: object) -> Event:
    return only(_admit(custom(SCHEME, event), body, headers or {}, **options))


def _admit(provider: Provider, body: bytes, headers: dict[str, str], **options: object):
    target = source(provider, "a", **options)
    assert target.sign is not None
    delivery = target.sign(SignRequest(body=body, now_us=NOW_US, event_id="sent", event_type="sent"))
    kept = {name: value for name, value in delivery.headers.items() if name in {"x-sign", "content-type"}}
    return target.admit(request(body, kept | headers), NOW_US)


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    "body, event_id",
    [
        pytest.param(b'{"id": "evt_1"}', "evt_1", id="a text"),
        pytest.param(b'{"id": 12345678901234567890123}', "12345678901234567890123", id="a large number"),
        pytest.param(b'{"id": 0}', "0", id="zero"),
        pytest.param(b'{"id": -7}', "-7", id="a negative number"),
        pytest.param(b'{"id": 1.50}', "1.5", id="a fraction"),
        pytest.param(b'{"id": 1e21}', "1000000000000000000000", id="an exponent"),
        pytest.param(b'{"id": "\\u00e9\\ud83d\\ude00"}', "é😀", id="beyond ASCII"),
        pytest.param(b'{"id": "first", "id": "last"}', "last", id="twice: the last, as handlers parse it"),
        pytest.param(b'{"id": "' + b"x" * 255 + b'"}', "x" * 255, id="255 characters"),
    ],
)
def test_an_id_is_read_as_text(body: bytes, event_id: str) -> None:
    event = _event(body, {"id": "json:id"})

    assert (event.id, event.flags) == (event_id, ())


@pytest.mark.parametrize(
    "body, flag",
    [
        pytest.param(b"{}", "id_missing", id="absent"),
        pytest.param(b'{"id": ""}', "id_missing", id="empty"),
        pytest.param(b'{"id": null}', "id_missing", id="null"),
        pytest.param(b'{"id": true}', "id_missing", id="true"),
        pytest.param(b'{"id": {"id": "x"}}', "id_missing", id="an object"),
        pytest.param(b'{"id": ["x"]}', "id_missing", id="a list"),
        pytest.param(b"[]", "id_missing", id="no object around it"),
        pytest.param(b'"id"', "id_missing", id="a text around it"),
        pytest.param(b'{"id": "' + b"x" * 256 + b'"}', "id_invalid", id="256 characters"),
        pytest.param(b'{"id": "a\\nb"}', "id_invalid", id="a line break"),
        pytest.param(b'{"id": "a\\u0000"}', "id_invalid", id="a NUL"),
        pytest.param(b'{"id": "a\\u009f"}', "id_invalid", id="a C1 control"),
        pytest.param(b'{"id": 1e300}', "id_invalid", id="a number of 301 digits"),
    ],
)
def test_the_body_s_digest_stands_in_for_an_impossible_id(body: bytes, flag: str) -> None:
    event = _event(body, {"id": "json:id"})

    assert (event.id, event.flags) == (_digest(body), (flag,))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<event id='1'/>", id="XML"),
        pytest.param(b'{"id": "x"', id="cut off"),
        pytest.param(b'{"id": "x"} x', id="more behind it"),
        pytest.param(b'{"id": NaN}', id="NaN"),
        pytest.param(b'{"id": 1e999}', id="a number beyond all"),
        pytest.param(b'{"id": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"id": "\xff"}', id="not UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"id": "x"}', id="a byte order mark"),
        pytest.param('{"id": "x"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(DEEP, id="nested too deeply"),
        pytest.param(b'{"id": "x", "a": ' + DEEP, id="nested too deeply beside the id"),
        pytest.param(b"\x1f\x8b\x08\x00", id="compressed"),
    ],
)
def test_a_body_that_does_not_parse_is_kept_whole_and_flagged(body: bytes) -> None:
    event = _event(body, {"id": "json:id", "type": "json:type", "time": "json:at", "key": "json:key"})

    assert (event.id, event.body, event.flags) == (_digest(body), body, ("id_missing", "opaque"))
    assert (event.type, event.time_us, event.key) == ("unknown", None, event.id)


def test_an_opaque_event_keeps_the_id_of_its_header() -> None:
    event = _event(b"<x/>", {"id": "header:x-id", "type": "json:type"}, {"x-id": "7"})

    assert (event.id, event.flags) == ("7", ("opaque",))


def test_a_repeated_header_gives_no_id() -> None:
    target = source(custom(SCHEME, {"id": "header:x-id"}), "a")
    assert target.sign is not None
    sent = target.sign(SignRequest(body=b"{}", now_us=NOW_US, event_id="7", event_type=""))

    event = only(target.admit(request(b"{}", sent.headers, repeated=("x-id",)), NOW_US))

    assert (event.id, event.flags) == (_digest(b"{}"), ("id_missing",))


@pytest.mark.parametrize(
    "event, signed",
    [
        pytest.param({"id": "json:id"}, True, id="in the signed body"),
        pytest.param({"id": "header:x-id"}, False, id="in a header"),
        pytest.param({"id": "json:id | header:x-id"}, False, id="perhaps in a header"),
        pytest.param({"id": "json:id + header:x-id"}, False, id="partly in a header"),
        pytest.param({"id": "'a' + json:id"}, True, id="with a text before it"),
        pytest.param({}, True, id="the digest"),
    ],
)
def test_whether_the_id_is_signed_is_derived(event: dict[str, object], signed: bool) -> None:  # noqa: FBT001 - a table
    assert source(custom(SCHEME, event), "a").id_is_signed is signed


def test_a_header_that_is_part_of_the_message_is_a_signed_id() -> None:
    scheme = SCHEME | {"message": ["header:X-Id", ".", "body"]}

    assert source(custom(scheme, {"id": "header:x-id"}), "a").id_is_signed


def test_a_shared_token_signs_no_id() -> None:
    scheme = {"mac": "none", "signature": {"header": "x-token"}}

    assert not source(custom(scheme, {"id": "json:id"}), "a").id_is_signed


def test_the_dedupe_key_holds_the_body_unless_a_signed_id_comes_with_varying_bodies() -> None:
    body = b'{"id": "evt_1"}'
    identity = identity_digest("test", "evt_1")
    bound = body_bound_digest(identity, hashlib.sha256(body).digest())

    assert _event(body, {"id": "json:id"}).dedupe_key == bound
    assert _event(body, {"id": "header:x-id"}, {"x-id": "evt_1"}).dedupe_key == bound
    assert _event(body, {"id": "json:id", "body_varies": True}).dedupe_key == identity


@pytest.mark.parametrize(
    "value, type_",
    [
        ('"a.b"', "a.b"),
        ("7", "7"),
        ("null", "unknown"),
        ('""', "unknown"),
        ('"a\\tb"', "unknown"),
        ("{}", "unknown"),
        ('"' + "x" * 256 + '"', "unknown"),
    ],
)
def test_a_type_is_the_provider_s_word_or_unknown(value: str, type_: str) -> None:
    event = _event(f'{{"kind": {value}}}'.encode(), {"type": "json:kind"})

    assert event.type == type_


@pytest.mark.parametrize(
    "body, type_",
    [
        pytest.param(b'{"status": "enabled"}', "on", id="the value"),
        pytest.param(b'{"status": "revoked"}', "off", id="another value"),
        pytest.param(b'{"status": 7}', "seven", id="a number, as text"),
        pytest.param(b'{"status": null}', "none", id="no value"),
    ],
)
def test_a_shape_may_ask_for_a_value(body: bytes, type_: str) -> None:
    shapes = (
        Shape(when="json:status", equals="enabled", type="'on'"),
        Shape(when="json:status", equals="7", type="'seven'"),
        Shape(when="json:status", type="'off'"),
        Shape(type="'none'"),
    )

    event = only(_admit(replace(custom(SCHEME), shapes=shapes), body, {}))

    assert event.type == type_


def test_a_type_from_an_unsigned_header_says_so() -> None:
    event = _event(b'{"action": "opened"}', {"type": "header:x-type + '.' + json:action"}, {"x-type": "issue"})

    assert (event.type, event.flags) == ("issue.opened", ("type_unsigned",))


def test_an_ordering_key_that_cannot_be_stored_is_its_digest() -> None:
    long = "k" * 300

    event = _event(json.dumps({"key": long}).encode(), {"key": "json:key"})

    assert event.key == _digest(long.encode())


def test_the_source_s_order_replaces_the_provider_s() -> None:
    event = _event(b'{"a": 1, "b": {"c": 2}}', {"key": "json:a"}, order_by="json:b.c")

    assert event.key == "2"


def test_times_are_read_in_the_unit_that_is_named() -> None:
    event = _event(b'{"at": 1700000000123}', {"time": "json:at", "time_unit": "ms"})

    assert event.time_us == 1_700_000_000_123_000


def test_only_the_headers_that_are_asked_for_are_kept() -> None:
    headers = {"x-kept": "caf\xe9", "x-other": "1", "cookie": "secret"}

    event = _event(b"{}", {}, headers, keep_headers=("X-Kept", "x-absent"))

    assert event.headers == {"x-kept": "café"}


def test_a_get_delivers_its_query_string() -> None:
    provider = custom(
        {"mac": "none", "signature": {"header": "x-token"}, "methods": ["GET"]}, {"id": "form:id", "type": "form:type"}
    )

    event = only(
        source(provider, "a").admit(request(b"", {"x-token": "a"}, method="GET", query=b"id=7&type=a%20b"), NOW_US)
    )

    assert (event.id, event.type, event.body, event.flags) == ("7", "a b", b"id=7&type=a%20b", ())


def test_the_query_string_of_a_get_is_what_a_body_signature_covers() -> None:
    target = source(custom(SCHEME | {"methods": ["GET"]}, {"id": "form:id"}), "a")
    assert target.sign is not None
    sent = target.sign(SignRequest(body=b"", now_us=NOW_US, event_id="", event_type="", query=b"id=1", method="GET"))

    assert events(target.admit(request(b"", sent.headers, method="GET", query=b"id=1"), NOW_US))
    assert not hasattr(target.admit(request(b"", sent.headers, method="GET", query=b"id=2"), NOW_US), "events")


def test_an_unsigned_id_never_stands_alone_however_bodies_vary() -> None:
    provider = replace(custom(SCHEME, {"id": "header:x-id"}), body_varies=True)

    event = only(_admit(provider, b"{}", {"x-id": "evt_1"}))

    assert not event.id_is_signed
