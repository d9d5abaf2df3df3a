"""Twilio: the URL as the public knows it, sorted fields, other bodies, ids by kind."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from gateway.core.admission import Admission
from tests.admitting import (
    FORM,
    JSON,
    NOW_US,
    PLAIN,
    URL,
    event_of,
    events,
    reason,
    request,
    source,
)


@pytest.mark.parametrize(
    "form, event_id, type_, key",
    [
        ("MessageSid=SM1&MessageStatus=sent", "SM1:sent", "message.sent", "SM1"),
        ("MessageSid=SM1&SmsStatus=received&Body=x", "SM1", "message.received", "SM1"),
        ("CallSid=CA1&CallStatus=ringing&SequenceNumber=1", "CA1:ringing:1", "call.ringing", "CA1"),
        ("CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed", "RE1:completed", "recording.completed", "CA1"),
    ],
)
def test_a_twilio_event_is_known_by_its_sid_and_status(form: str, event_id: str, type_: str, key: str) -> None:
    event = event_of("twilio", form.encode(), FORM)

    assert (event.id, event.type, event.key, event.flags) == (event_id, type_, key, ())


def test_twilio_s_idempotency_token_comes_first() -> None:
    event = event_of("twilio", b"MessageSid=SM1&MessageStatus=sent", FORM, i_twilio_idempotency_token="tok")

    assert event.id == "tok"


def test_two_questions_of_one_call_are_two_events() -> None:
    first, second = (
        event_of("twilio", f"CallSid=CA1&CallStatus=in-progress&Digits={n}".encode(), FORM) for n in (1, 2)
    )

    assert first.id != second.id
    assert first.key == second.key


def _twilio(message: bytes, body: bytes = b"", *, query: Any = b"", **headers: str) -> Admission:
    mark = base64.b64encode(hmac.new(PLAIN.encode(), message, hashlib.sha1).digest()).decode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return source("twilio", public_url="https://a.example:8443/t").admit(
        request(body, {"x-twilio-signature": mark} | named, query=query), NOW_US
    )


@pytest.mark.parametrize("base", [b"https://a.example:8443/t", b"https://a.example/t"])
def test_twilio_may_sign_with_or_without_the_port(base: bytes) -> None:
    assert events(_twilio(base + b"?a=1", query=b"a=1"))


def test_twilio_fields_are_sorted_by_byte_and_repeated_values_count_once() -> None:
    body = b"b=2&a=2&B=1&a=1&a=2&A=%E2%98%83"
    message = b"https://a.example/tA" + "☃".encode() + b"B1a1a2b2"

    assert events(_twilio(message, body, content_type=FORM))


@pytest.mark.parametrize(
    "query",
    [b"", b"bodySHA256=", b"bodySHA256=" + b"0" * 64, b"bodysha256=" + hashlib.sha256(b"{}").hexdigest().encode()],
)
def test_a_twilio_body_that_the_url_does_not_cover_is_refused(query: bytes) -> None:
    message = b"https://a.example/t" + (b"?" + query if query else b"")

    assert reason(_twilio(message, b"{}", query=query, content_type=JSON)) == "body_digest_mismatch"


def test_a_twilio_form_sent_as_another_type_is_refused() -> None:
    message = b"https://a.example/tMessageSidSM1"

    assert reason(_twilio(message, b"MessageSid=SM1", content_type="text/plain")) == "body_digest_mismatch"


@pytest.mark.parametrize("algorithm", ["HMAC_MD5", "none", "HMAC_SHA512"])
def test_an_algorithm_that_twilio_does_not_use_is_refused(algorithm: str) -> None:
    settings = f"key=k,algorithm={algorithm}"

    refused = _twilio(b"https://a.example/t", x_twilio_webhooks_signature_settings=settings)

    assert reason(refused) == "signature_mismatch"


@pytest.mark.parametrize("settings", ["", "key=k", "key=k,algorithm=", "algorithm=hmac_sha1"])
def test_twilio_settings_without_an_algorithm_mean_the_auth_token(settings: str) -> None:
    assert events(_twilio(b"https://a.example/t", x_twilio_webhooks_signature_settings=settings))


def test_a_twilio_form_with_too_many_fields_is_refused() -> None:
    assert reason(_twilio(b"x", b"a=1&" * 1000, content_type=FORM)) == "signature_malformed"


@pytest.mark.parametrize("method, content_type", [("GET", JSON), ("POST", FORM), ("POST", JSON)])
def test_a_url_that_covers_a_body_admits_no_delivery_without_it(method: str, content_type: str) -> None:
    """The signature of such a delivery is the URL's alone: emptied, it would be an event that Twilio never sent."""
    target = source("twilio")
    query = b"bodySHA256=" + hashlib.sha256(b"[]").hexdigest().encode()
    signature = base64.b64encode(hmac.digest(PLAIN.encode(), URL.encode() + b"?" + query, "sha1")).decode()
    headers = {"x-twilio-signature": signature, "content-type": content_type}

    assert events(target.admit(request(b"[]", {**headers, "content-type": JSON}, query=query), NOW_US)) == ()
    emptied = request(b"", headers, method=method, query=query)
    assert reason(target.admit(emptied, NOW_US)) == "body_digest_mismatch"
