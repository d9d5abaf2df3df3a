"""Schemes written in the configuration: the worked examples, every field, and where a mistake is."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from gateway.core.event import Event
from gateway.providers.custom import SchemeError, provider_from
from gateway.providers.examples import example
from tests.admitting import NOW, NOW_US, SECOND, URL, custom, delivered, events, only, reason, request, signed, source

SIGNATURE = {"signature": {"header": "x-acme-signature"}}


def _hex(message: bytes, key: bytes = b"a", digest: str = "sha256") -> str:
    return hmac.new(key, message, digest).hexdigest()


def _fault(scheme: Any, event: Any = None) -> tuple[tuple[str, ...], str]:
    with pytest.raises(SchemeError) as raised:
        provider_from(scheme, event or {})
    return raised.value.path, raised.value.message


def test_the_first_worked_example_signs_the_body() -> None:
    provider = custom(
        {"signature": {"header": "x-acme-signature", "prefix": "sha256="}},
        {"id": "header:x-acme-delivery", "type": "json:kind"},
    )
    body = b'{"kind": "paid"}'
    headers = {"x-acme-signature": "sha256=" + _hex(body), "x-acme-delivery": "d1"}

    event = only(source(provider, "a").admit(request(body, headers), NOW_US))

    assert (event.provider, event.id, event.type, event.id_is_signed) == ("custom", "d1", "paid", False)


def test_the_second_worked_example_signs_timestamp_and_body_in_a_list() -> None:
    provider = custom(
        {
            "message": ["timestamp", ".", "body"],
            "signature": {"header": "acme-signature", "split": ",", "prefix": "v1="},
            "timestamp": {"header": "acme-signature", "split": ",", "prefix": "t=", "tolerance": 180},
        },
        {"id": "json:id", "type": "json:type", "time": "json:created"},
    )
    body = f'{{"id": 7, "type": "x", "created": {NOW}}}'.encode()
    delivery = request(body, {"acme-signature": f"t={NOW}, v1={_hex(f'{NOW}.'.encode() + body)}, v2=x"})
    target = source(provider, "a")

    event = only(target.admit(delivery, NOW_US + 180 * SECOND))

    assert (event.id, event.type, event.time_us) == ("7", "x", NOW_US)
    assert reason(target.admit(delivery, NOW_US + 181 * SECOND)) == "timestamp_stale"
    assert reason(target.admit(delivery, NOW_US - 181 * SECOND)) == "timestamp_future"


def test_the_third_worked_example_compares_a_token() -> None:
    provider = custom({"mac": "none", "encoding": "raw", "signature": {"header": "x-acme-token"}}, {"id": "json:uuid"})
    target = source(provider, "new", "old")

    event = only(target.admit(request(b'{"uuid": "u"}', {"x-acme-token": "old"}), NOW_US))

    assert (event.id, event.verified_by) == ("u", "s1")
    assert reason(target.admit(request(b"{}", {"x-acme-token": "older"}), NOW_US)) == "signature_mismatch"


@pytest.mark.parametrize(
    "scheme, secret, value",
    [
        pytest.param({"mac": "hmac-sha1"}, "a", _hex(b"{}", digest="sha1"), id="sha1"),
        pytest.param({"mac": "hmac-sha512"}, "a", _hex(b"{}", digest="sha512"), id="sha512"),
        pytest.param({"key": "hex"}, "00ff", _hex(b"{}", b"\x00\xff"), id="a hex key"),
        pytest.param({"key": "base64"}, "AP8=", _hex(b"{}", b"\x00\xff"), id="a base64 key"),
        pytest.param({"key": "base64"}, "AP8", _hex(b"{}", b"\x00\xff"), id="a base64 key without padding"),
        pytest.param(
            {"key": {"encoding": "base64", "prefix": "whsec_"}}, "whsec_AP8=", _hex(b"{}", b"\x00\xff"), id="a prefix"
        ),
        pytest.param(
            {"encoding": "base64url"},
            "a",
            base64.urlsafe_b64encode(hmac.digest(b"a", b"{}", "sha256")).decode(),
            id="base64url with padding",
        ),
        pytest.param({"message": "body"}, "a", _hex(b"{}"), id="a message of one part"),
        pytest.param(
            {"message": ["'body'", "|", "method", "header:X-Id", "body", "url", "query"]},
            "a",
            _hex(b"body|POST7{}" + URL.encode() + b"?q=1q=1"),
            id="every part",
        ),
    ],
)
def test_every_field_of_a_scheme_counts(scheme: dict[str, Any], secret: str, value: str) -> None:
    target = source(custom(SIGNATURE | scheme), secret)

    admission = target.admit(request(b"{}", {"x-acme-signature": value, "x-id": "7"}, query=b"q=1"), NOW_US)

    assert events(admission)


def test_a_signed_header_that_is_absent_or_empty_is_refused() -> None:
    target = source(custom(SIGNATURE | {"message": ["header:x-id", "body"]}), "a")
    proof = {"x-acme-signature": _hex(b"{}")}

    assert reason(target.admit(request(b"{}", proof), NOW_US)) == "signature_missing"
    assert reason(target.admit(request(b"{}", proof | {"x-id": ""}), NOW_US)) == "signature_missing"


@pytest.mark.parametrize(
    "at, expected",
    [
        (f"{NOW}000", None),
        (f"{NOW - 60}000", None),
        (f"{(NOW - 60) * 1000 - 1}", "timestamp_stale"),
        (f"{(NOW + 60) * 1000 + 1}", "timestamp_future"),
        ('"soon"', "timestamp_malformed"),
        ("null", "timestamp_missing"),
    ],
)
def test_a_timestamp_in_the_signed_body_is_judged(at: str, expected: str | None) -> None:
    provider = custom(SIGNATURE | {"timestamp": {"json": "meta.at", "unit": "ms", "tolerance": 60}})
    body = f'{{"meta": {{"at": {at}}}}}'.encode()

    admission = source(provider, "a").admit(request(body, {"x-acme-signature": _hex(body)}), NOW_US)

    assert getattr(admission, "reason", None) == expected


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_test_delivery_goes_by_the_scheme_s_method(method: str) -> None:
    provider = custom(SIGNATURE | {"methods": [method]}, {"id": "form:id", "type": "form:kind"})
    target = source(provider, "a")

    sent = signed(target, provider, event_id="e 1")
    event: Event = only(target.admit(delivered(sent), NOW_US))

    assert (sent.method, event.id, event.type) == (method, "e 1", "example")
    assert target.methods == {method}


def test_a_test_delivery_puts_its_values_where_they_are_read() -> None:
    provider = custom(SIGNATURE, {"split": "data.events[*]", "id": "json:meta.id", "type": "json:kind"})

    asked = example(provider, event_id="e1", now_us=NOW_US)

    assert asked.body == b'{"data": {"events": [{"meta": {"id": "e1"}, "kind": "example"}]}}'


def test_terms_may_be_written_as_a_list() -> None:
    provider = custom(SIGNATURE, {"id": ["json:a", "'-'", "json:b"]})
    body = b'{"a": 1, "b": 2}'

    event = only(source(provider, "a").admit(request(body, {"x-acme-signature": _hex(body)}), NOW_US))

    assert event.id == "1-2"


def test_without_an_id_the_body_s_digest_is_one_and_nothing_is_flagged() -> None:
    event = only(source(custom(SIGNATURE), "a").admit(request(b"x", {"x-acme-signature": _hex(b"x")}), NOW_US))

    assert (event.id, event.flags) == ("sha256:" + hashlib.sha256(b"x").hexdigest(), ())


@pytest.mark.parametrize(
    "scheme, path, words",
    [
        ({}, ("scheme", "signature"), "missing"),
        (SIGNATURE | {"sginature": 1}, ("scheme", "sginature"), "did you mean 'signature'"),
        (SIGNATURE | {"mac": "hmac-sha265"}, ("scheme", "mac"), "did you mean 'hmac-sha256'"),
        (SIGNATURE | {"mac": ["hmac-sha256"]}, ("scheme", "mac"), "one of"),
        (SIGNATURE | {"key": "rot13"}, ("scheme", "key"), "one of utf8, hex, base64"),
        (SIGNATURE | {"key": {"encoding": "hexx"}}, ("scheme", "key", "encoding"), "did you mean 'hex'"),
        (SIGNATURE | {"key": {"prefx": "x"}}, ("scheme", "key", "prefx"), "did you mean 'prefix'"),
        (SIGNATURE | {"encoding": "raw"}, ("scheme", "encoding"), "mac: none alone"),
        (SIGNATURE | {"message": 5}, ("scheme", "message"), "list of texts"),
        (SIGNATURE | {"message": ["timestamp"]}, ("scheme", "message"), "body is missing"),
        (SIGNATURE | {"message": ["header:", "body"]}, ("scheme", "message"), "names no header"),
        (SIGNATURE | {"message": ["header:@id", "body"]}, ("scheme", "message"), "names no header"),
        (SIGNATURE | {"message": ["timestamp", "body"]}, ("scheme", "message"), "scheme.timestamp"),
        (SIGNATURE | {"timestamp": {"header": "x-at"}}, ("scheme", "timestamp"), "anyone could change it"),
        (SIGNATURE | {"timestamp": {"unit": "s"}}, ("scheme", "timestamp"), "one of header and json"),
        (SIGNATURE | {"timestamp": "x-at"}, ("scheme", "timestamp"), "a mapping is needed"),
        (SIGNATURE | {"timestamp": {"json": "a..b"}}, ("scheme", "timestamp", "json"), "JSON path"),
        (
            SIGNATURE | {"message": ["timestamp", "body"], "timestamp": {"header": "x-at", "unit": "min"}},
            ("scheme", "timestamp", "unit"),
            "one of s, ms, iso",
        ),
        (
            SIGNATURE | {"message": ["timestamp", "body"], "timestamp": {"header": "x-at", "tolerance": 0}},
            ("scheme", "timestamp", "tolerance"),
            "more than 0",
        ),
        (
            SIGNATURE | {"message": ["timestamp", "body"], "timestamp": {"header": "x-at", "tolerance": True}},
            ("scheme", "timestamp", "tolerance"),
            "number",
        ),
        (SIGNATURE | {"mac": "none", "message": ["body"]}, ("scheme", "message"), "signs nothing"),
        (SIGNATURE | {"mac": "none", "timestamp": {"header": "x"}}, ("scheme", "timestamp"), "signs nothing"),
        (SIGNATURE | {"mac": "ed25519", "key": "utf8"}, ("scheme", "key"), "hex or base64"),
        ({"signature": {"header": "x y"}}, ("scheme", "signature", "header"), "name of a header"),
        ({"signature": {"header": "x", "split": 1}}, ("scheme", "signature", "split"), "a text"),
        ({"signature": "x-sign"}, ("scheme", "signature"), "a mapping is needed"),
        (SIGNATURE | {"methods": ["PATCH"]}, ("scheme", "methods"), "none of POST, PUT, GET"),
        (SIGNATURE | {"methods": []}, ("scheme", "methods"), "at least one"),
    ],
)
def test_a_mistake_in_a_scheme_is_told_with_its_place(scheme: Any, path: tuple[str, ...], words: str) -> None:
    found, message = _fault(scheme)

    assert found == path
    assert words in message


@pytest.mark.parametrize(
    "event, path, words",
    [
        ({"idd": "json:id"}, ("event", "idd"), "did you mean 'id'"),
        ({"id": "jsn:id"}, ("event", "id"), "no term"),
        ({"id": 5}, ("event", "id"), "a text"),
        ({"id": ["json:a", 5]}, ("event", "id"), "list of texts"),
        ({"type": "json:a..b"}, ("event", "type"), "JSON path"),
        ({"type": "header:@topic"}, ("event", "type"), "no header name"),
        ({"time": "created"}, ("event", "time"), "no term"),
        ({"time_unit": "us"}, ("event", "time_unit"), "one of s, ms"),
        ({"key": "json:"}, ("event", "key"), "no term"),
        ({"split": "events"}, ("event", "split"), "[*]"),
        ({"split": "[*]", "id": "header:x-id"}, ("event", "id"), "all events of a batch"),
        ({"split": "[*]", "id": "json:id | header:x-id"}, ("event", "id"), "all events of a batch"),
        ({"max_elements": 0}, ("event", "max_elements"), "at least 1"),
        ({"id_is_signed": True, "id": "header:x-id"}, ("event", "id_is_signed"), "does not cover"),
        ({"body_varies": True, "id": "header:x-id"}, ("event", "body_varies"), "does not cover"),
        ({"id_is_signed": "yes"}, ("event", "id_is_signed"), "true or false"),
    ],
)
def test_a_mistake_in_an_event_is_told_with_its_place(event: Any, path: tuple[str, ...], words: str) -> None:
    found, message = _fault(SIGNATURE, event)

    assert found == path
    assert words in message
