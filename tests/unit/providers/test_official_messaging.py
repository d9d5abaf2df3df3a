"""The libraries of messaging and email providers as verifiers of what we sign, and signers of what we verify."""

import base64
import hashlib
import importlib.util
import time
from types import ModuleType
from typing import Any

import discord_interactions  # type: ignore[import-untyped] # it ships no types
import jwt
import pytest
import resend
from linebot.v3.webhook import SignatureValidator  # type: ignore[import-untyped] # it ships no types
from messagebird.error import ValidationError  # type: ignore[import-untyped] # it ships no types
from messagebird.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types
from nacl.signing import SigningKey
from sendgrid.helpers.eventwebhook import EventWebhook  # type: ignore[import-untyped] # it ships no types
from vonage_jwt import verify_signature  # type: ignore[import-untyped] # it ships no types

from gateway.core.admission import Rejected
from gateway.core.source import SignedRequest, SignRequest
from tests.admitting import NOW, NOW_US, PLAIN, SECOND, URL, WHSEC, delivered, events, only, request, signed, source
from tests.keys import ED25519, P256, ed25519_raw, p256_spki

# The JWT library warns of shorter ones.
LONG = "a test secret of more than sixty-four bytes, for the longest of the digests"
BODY = b'[{"sg_event_id": "evt_1", "event": "open", "note": "h\xc3\xa9llo"}]\r\n'


def _now(provider: str, *secrets: str) -> SignedRequest:
    """Sign as of now: these libraries read the clock."""
    return signed(source(provider, *secrets), provider, now_us=int(time.time()) * SECOND)


def test_sendgrid_verifies_what_we_sign_and_no_other() -> None:
    delivery = signed(source("sendgrid"), "sendgrid")
    webhook = EventWebhook(p256_spki(P256))
    headers = dict(delivery.headers)
    mark = headers["x-twilio-email-event-webhook-signature"]

    assert webhook.verify_signature(delivery.body.decode(), mark, headers["x-twilio-email-event-webhook-timestamp"])
    assert not webhook.verify_signature(delivery.body.decode().rstrip(), mark, str(NOW))


def test_a_delivery_that_sendgrid_s_library_takes_is_admitted_under_the_same_key() -> None:
    target = source("sendgrid", p256_spki(P256))
    delivery = signed(source("sendgrid"), "sendgrid")
    headers = dict(delivery.headers)

    assert EventWebhook(p256_spki(P256)).verify_signature(
        delivery.body.decode(), headers["x-twilio-email-event-webhook-signature"], str(NOW)
    )
    assert events(target.admit(delivered(delivery), NOW_US))
    assert isinstance(target.admit(request(BODY, headers), NOW_US), Rejected)


def test_line_verifies_what_we_sign() -> None:
    delivery = signed(source("line"), "line")

    assert SignatureValidator(PLAIN).validate(delivery.body.decode(), delivery.headers["x-line-signature"])
    assert not SignatureValidator("another").validate(delivery.body.decode(), delivery.headers["x-line-signature"])


@pytest.mark.parametrize("provider", ["discord", "discord_events"])
def test_discord_verifies_what_we_sign(provider: str) -> None:
    delivery = signed(source(provider), provider)
    mark, stamp = (delivery.headers[f"x-signature-{name}"] for name in ("ed25519", "timestamp"))
    key = ed25519_raw(ED25519).hex()

    assert discord_interactions.verify_key(delivery.body, mark, stamp, key)
    assert not discord_interactions.verify_key(delivery.body + b" ", mark, stamp, key)


def test_a_delivery_that_pynacl_signed_is_discord_s() -> None:
    private = SigningKey.generate()
    body = b'{"id": "1", "type": 2, "data": {"name": "ping"}}'
    mark = private.sign(str(NOW).encode() + body).signature.hex()
    headers = {"x-signature-ed25519": mark, "x-signature-timestamp": str(NOW)}

    event = only(source("discord", private.verify_key.encode().hex()).admit(request(body, headers), NOW_US))

    assert event.type == "interaction.2.ping"


def test_telnyx_verifies_what_we_sign() -> None:
    telnyx = _telnyx()
    delivery = _now("telnyx")
    key = base64.b64encode(ed25519_raw(ED25519)).decode()

    telnyx.verify_webhook_signature(delivery.body, delivery.headers, key)
    with pytest.raises(telnyx.WebhookVerificationError):
        telnyx.verify_webhook_signature(delivery.body + b" ", delivery.headers, key)


def _telnyx() -> ModuleType:
    """Return its module for this alone: the whole package takes seconds to import."""
    package = importlib.util.find_spec("telnyx")
    assert package is not None
    assert package.submodule_search_locations
    place = f"{package.submodule_search_locations[0]}/lib/webhook_verification.py"
    spec = importlib.util.spec_from_file_location("telnyx_verification", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("query", [b"", b"a=1&b=%20"])
def test_messagebird_verifies_what_we_sign(query: bytes) -> None:
    target = source("messagebird", LONG)
    assert target.sign is not None
    body, now_us = b'{"type": "message.created"}', int(time.time()) * SECOND
    delivery = target.sign(SignRequest(body=body, now_us=now_us, event_id="e", event_type="x", query=query))
    url = URL + ("?" + query.decode() if query else "")
    token = delivery.headers["messagebird-signature-jwt"]

    assert RequestValidator(LONG).validate_signature(token, url, body)["iss"] == "MessageBird"
    for other_url, other_body in ((url + "x", body), (url, body + b" ")):
        with pytest.raises(ValidationError):
            RequestValidator(LONG).validate_signature(token, other_url, other_body)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_of_the_library_that_messagebird_uses_is_admitted(algorithm: str) -> None:
    body = b'{"type": "message.created"}'
    claims = {"iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "jti": "j"}
    digests = {"url_hash": _digest(URL.encode()), "payload_hash": _digest(body)}
    token = jwt.encode(claims | digests, LONG, algorithm=algorithm)
    arrived = request(body, {"messagebird-signature-jwt": token})

    assert only(source("messagebird", LONG).admit(arrived, NOW_US)).type == "message.created"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_vonage_verifies_what_we_sign() -> None:
    token = _now("vonage", LONG).headers["authorization"].removeprefix("Bearer ")

    assert verify_signature(token, LONG)
    assert not verify_signature(token, LONG + "!")


def test_a_token_of_the_library_that_vonage_uses_is_admitted() -> None:
    body = b'{"message_uuid": "m1", "status": "delivered", "timestamp": "2023-11-14T22:13:20Z"}'
    claims = {"iat": NOW, "jti": "j", "iss": "Vonage", "payload_hash": _digest(body), "api_key": "abcd1234"}
    token = jwt.encode(claims, LONG, algorithm="HS256")

    event = only(source("vonage", LONG).admit(request(body, {"authorization": f"Bearer {token}"}), NOW_US))

    assert event.type == "message.delivered"


def test_resend_verifies_what_we_sign() -> None:
    delivery = _now("resend")
    names = {"id": "svix-id", "timestamp": "svix-timestamp", "signature": "svix-signature"}
    headers = {name: delivery.headers[header] for name, header in names.items()}
    options: Any = {"payload": delivery.body.decode(), "headers": headers, "webhook_secret": WHSEC}

    assert resend.Webhooks.verify(options)["type"] == "email.delivered"
    options["payload"] += " "
    with pytest.raises(ValueError):
        resend.Webhooks.verify(options)
