"""The providers' own libraries as signers of what we verify, and as verifiers of what we sign."""

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
import standardwebhooks
import stripe
import svix.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types

from gateway.core.admission import Rejected
from gateway.core.source import SignRequest
from tests.admitting import NOW, NOW_US, PLAIN, SECOND, URL, WHSEC, events, only, request, signed, source

BODY = b'{"id": "evt_1", "type": "thing.created", "note": "h\xc3\xa9llo \xe2\x98\x83"}\n'
TWILIO_FORM = {"MessageSid": "SM1", "Body": "héllo & = + %20", "SmsStatus": "received", "Empty": ""}
FORM_BODY = b"MessageSid=SM1&Body=h%C3%A9llo+%26+%3D+%2B+%2520&SmsStatus=received&Empty="
FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}


def test_a_delivery_signed_by_stripe_is_admitted() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), PLAIN, NOW)

    event = only(source("stripe").admit(request(BODY, {"stripe-signature": header}), NOW_US))

    assert (event.id, event.type, event.body) == ("evt_1", "thing.created", BODY)


def test_stripe_verifies_what_we_sign() -> None:
    delivery = signed(source("stripe"), "stripe", now_us=int(time.time()) * SECOND)

    event = stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], PLAIN)

    assert event.type == "invoice.paid"


def test_a_delivery_signed_by_slack_is_admitted() -> None:
    body = b'{"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}'
    signature = SignatureVerifier(PLAIN).generate_signature(timestamp=str(NOW), body=body)
    headers = {"x-slack-request-timestamp": str(NOW), "x-slack-signature": signature or ""}

    event = only(source("slack").admit(request(body, headers), NOW_US))

    assert (event.id, event.type) == ("Ev1", "message")


@pytest.mark.parametrize("event_type", ["message", "/deploy", "block_actions"])
def test_slack_verifies_what_we_sign(event_type: str) -> None:
    delivery = signed(source("slack"), "slack", event_type, now_us=int(time.time()) * SECOND)

    assert SignatureVerifier(PLAIN).is_valid_request(delivery.body, dict(delivery.headers))


@pytest.mark.parametrize("algorithm", ["HMAC_SHA1", "HMAC_SHA256"])
@pytest.mark.parametrize(
    "signed_url",
    [URL + "?foo=1&bar=2", URL.replace(".com", ".com:443") + "?foo=1&bar=2"],
    ids=["without port", "with port"],
)
def test_a_form_signed_by_twilio_is_admitted(signed_url: str, algorithm: str) -> None:
    signature = RequestValidator(PLAIN).compute_signature(signed_url, TWILIO_FORM, algorithm)
    headers = FORM | {"x-twilio-signature": signature}
    if algorithm == "HMAC_SHA256":
        headers["x-twilio-webhooks-signature-settings"] = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"

    event = only(source("twilio").admit(request(FORM_BODY, headers, query=b"foo=1&bar=2"), NOW_US))

    assert (event.id, event.type) == ("SM1", "message.received")


def test_a_get_signed_by_twilio_is_admitted() -> None:
    query = "MessageSid=SM1&SmsStatus=received"
    signature = RequestValidator(PLAIN).compute_signature(f"{URL}?{query}", {})

    event = only(
        source("twilio").admit(
            request(b"", {"x-twilio-signature": signature}, method="GET", query=query.encode()), NOW_US
        )
    )

    assert (event.id, event.body) == ("SM1", query.encode())


def test_a_json_body_signed_by_twilio_is_admitted_as_its_cloud_events() -> None:
    body = b'[{"id": "a", "type": "x"}, {"id": "b", "type": "y"}]'
    query = "bodySHA256=" + RequestValidator(PLAIN).compute_hash(body.decode())
    headers = {
        "content-type": "application/json",
        "x-twilio-signature": RequestValidator(PLAIN).compute_signature(f"{URL}?{query}", {}),
    }

    admitted = events(source("twilio").admit(request(body, headers, query=query.encode()), NOW_US))

    assert [(event.id, event.type, event.batch_index) for event in admitted] == [("a", "x", 0), ("b", "y", 1)]


@pytest.mark.parametrize("event_type", ["message.received", "call.completed"])
def test_twilio_verifies_the_forms_we_sign(event_type: str) -> None:
    delivery = signed(source("twilio"), "twilio", event_type)
    fields = {name: values[0] for name, values in parse_qs(delivery.body.decode(), keep_blank_values=True).items()}

    assert RequestValidator(PLAIN).validate(URL, fields, delivery.headers["x-twilio-signature"])


def test_twilio_verifies_the_json_we_sign() -> None:
    delivery = signed(source("twilio"), "twilio", "com.twilio.messaging.message.delivered")
    url = f"{URL}?{delivery.query.decode()}"

    assert RequestValidator(PLAIN).validate(url, delivery.body.decode(), delivery.headers["x-twilio-signature"])


@pytest.mark.parametrize("provider", ["standard_webhooks", "svix"])
@pytest.mark.parametrize("family", ["webhook", "svix"])
def test_a_delivery_signed_by_the_standard_webhooks_library_is_admitted(provider: str, family: str) -> None:
    at = datetime.fromtimestamp(NOW, tz=UTC)
    signature = standardwebhooks.Webhook(WHSEC).sign("msg_1", at, BODY.decode())
    headers = {f"{family}-id": "msg_1", f"{family}-timestamp": str(NOW), f"{family}-signature": signature}

    event = only(source(provider).admit(request(BODY, headers), NOW_US))

    assert (event.id, event.type) == ("msg_1", "thing.created")


@pytest.mark.parametrize("provider", ["standard_webhooks", "gitlab"])
def test_the_standard_webhooks_library_verifies_what_we_sign(provider: str) -> None:
    delivery = signed(source(provider), provider, now_us=int(time.time()) * SECOND)

    assert standardwebhooks.Webhook(WHSEC).verify(delivery.body, dict(delivery.headers)) == json.loads(delivery.body)


def test_the_svix_library_verifies_what_we_sign() -> None:
    delivery = signed(source("svix"), "svix", now_us=int(time.time()) * SECOND)

    svix.webhooks.Webhook(WHSEC).verify(delivery.body, dict(delivery.headers))

    assert "svix-signature" in delivery.headers


def test_a_public_key_verifies_v1a_and_cannot_sign() -> None:
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    signature = base64.b64encode(private.sign(b"msg_1." + str(NOW).encode() + b"." + BODY)).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,AAAA v1a,{signature}"}
    target = source("standard_webhooks", "whpk_" + public)

    admission = target.admit(request(BODY, headers), NOW_US)

    assert only(admission).id == "msg_1"
    assert target.sign is None


def test_a_private_key_signs_v1a_for_its_public_key() -> None:
    private = Ed25519PrivateKey.generate()
    texts = [
        "whsk_" + base64.b64encode(private.private_bytes_raw()).decode(),
        "whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    ]
    signer, verifier = (source("standard_webhooks", text) for text in texts)
    assert signer.sign is not None
    delivery = signer.sign(SignRequest(body=BODY, now_us=NOW_US, event_id="msg_1", event_type="x"))
    headers = dict(delivery.headers)

    admission = verifier.admit(request(BODY, headers), NOW_US)
    altered = verifier.admit(request(BODY + b" ", headers), NOW_US)

    assert only(admission).id == "msg_1"
    assert isinstance(altered, Rejected)
