"""The libraries of payment and commerce providers as signers of what we verify, and as verifiers of what we sign."""

import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import razorpay  # type: ignore[import-untyped] # it ships no types
import standardwebhooks
from Adyen import util as adyen  # type: ignore[import-untyped] # as above
from coinbase_commerce.webhook import Webhook as CoinbaseWebhook  # type: ignore[import-untyped] # as above
from easypost.util import validate_webhook
from gocardless_pro import webhooks as gocardless  # type: ignore[import-untyped] # as above
from paddle_billing.Notifications import Secret, Verifier  # type: ignore[import-untyped] # as above
from paddle_billing.Notifications.PaddleSignature import PaddleSignature  # type: ignore[import-untyped] # as above
from square.utils.webhooks_helper import verify_signature as square_verifies

from gateway.core.admission import Handshake
from gateway.core.source import SignedRequest
from gateway.providers import PROVIDERS
from tests.admitting import FORM, HEX, NOW, NOW_US, PLAIN, SECOND, URL, delivered, events, only, request, signed, source

with warnings.catch_warnings():
    # It warns of its own past when it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    import braintree  # type: ignore[import-untyped] # as above

ADYEN_ITEM = {
    "pspReference": "7914073381342284",
    "originalReference": "",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "order:1\\2",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}


def test_an_item_signed_by_adyen_is_admitted() -> None:
    proof = {"hmacSignature": adyen.generate_notification_sig(ADYEN_ITEM, HEX).decode()}
    body = json.dumps({"notificationItems": [{"NotificationRequestItem": ADYEN_ITEM | {"additionalData": proof}}]})

    event = only(source("adyen").admit(request(body.encode()), NOW_US))

    assert event.id == "TestMerchant:7914073381342284:AUTHORISATION:true"


@pytest.mark.parametrize("event_type", PROVIDERS["adyen"].examples)
def test_adyen_verifies_what_we_sign(event_type: str) -> None:
    sent = signed(source("adyen"), "adyen", event_type)

    assert adyen.is_valid_hmac_notification(json.loads(sent.body), HEX)


def test_adyen_signs_and_verifies_platform_webhooks_as_we_do() -> None:
    sent = signed(source("adyen_platform"), "adyen_platform")

    assert adyen.generate_payload_sig(sent.body, HEX).decode() == sent.headers["hmacsignature"]
    assert adyen.is_valid_hmac_payload(sent.headers["hmacsignature"], HEX, sent.body)


def _braintree() -> Any:
    return braintree.BraintreeGateway(
        braintree.Configuration(
            braintree.Environment.Sandbox,
            merchant_id="integration_merchant_id",
            public_key="integration_public_key",
            private_key=PLAIN,
        )
    )


@pytest.mark.parametrize("kind", ["subscription_went_past_due", "dispute_opened", "check", "disbursement"])
def test_a_notification_signed_by_braintree_is_admitted(kind: str) -> None:
    fields = _braintree().webhook_testing.sample_notification(kind, "my_id")
    sent = request(urlencode(fields).encode(), {"content-type": FORM})

    event = only(source("braintree").admit(sent, NOW_US))

    assert event.type == kind
    assert event.time_us is not None


@pytest.mark.parametrize("kind", ["subscription_charged_successfully", "check"])
def test_braintree_verifies_what_we_sign(kind: str) -> None:
    sent = signed(source("braintree"), "braintree", kind)
    fields = dict(parse_qsl(sent.body.decode()))

    notification = _braintree().webhook_notification.parse(fields["bt_signature"], fields["bt_payload"])

    assert notification.kind == kind


def test_a_challenge_is_answered_as_braintree_answers_it() -> None:
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    answered = source("braintree").admit(request(method="GET", query=f"bt_challenge={challenge}".encode()), NOW_US)

    assert isinstance(answered, Handshake)
    assert answered.ack.body.decode() == _braintree().webhook_notification.verify(challenge)


def test_gocardless_verifies_what_we_sign() -> None:
    sent = signed(source("gocardless"), "gocardless", event_id="EV1")

    (event,) = gocardless.parse(sent.body, PLAIN, sent.headers["webhook-signature"])

    assert event.id == "EV1"


def test_a_delivery_signed_by_paddle_is_admitted() -> None:
    body = b'{"event_id": "evt_1", "event_type": "transaction.completed", "note": "h\xc3\xa9llo"}'
    mark = PaddleSignature.calculate_hmac(PLAIN, f"{NOW}:".encode() + body).hexdigest()

    event = only(source("paddle").admit(request(body, {"paddle-signature": f"ts={NOW};h1={mark}"}), NOW_US))

    assert (event.id, event.type) == ("evt_1", "transaction.completed")


@dataclass
class _Received:
    """A request as Paddle's library wants it."""

    body: bytes
    headers: dict[str, str]


def test_paddle_verifies_what_we_sign() -> None:
    sent = signed(source("paddle"), "paddle", now_us=int(time.time()) * SECOND)
    received = _Received(sent.body, {"Paddle-Signature": sent.headers["paddle-signature"]})

    # Its own 5 s are not what is tested.
    assert Verifier(60).verify(received, [Secret("another"), Secret(PLAIN)])


def test_razorpay_verifies_what_we_sign() -> None:
    sent = signed(source("razorpay"), "razorpay")
    utility = razorpay.Client(auth=("id", "secret")).utility

    assert utility.verify_webhook_signature(sent.body.decode(), sent.headers["x-razorpay-signature"], PLAIN)


def test_easypost_verifies_what_we_sign_under_a_secret_with_accents() -> None:
    sent = signed(source("easypost", "s\u00e9cret"), "easypost")
    headers = {"X-Hmac-Signature": sent.headers["x-hmac-signature"]}

    assert validate_webhook(sent.body, headers, "s\u00e9cret")["description"] == "tracker.updated"


def test_square_verifies_what_we_sign() -> None:
    sent = signed(source("square"), "square")

    assert square_verifies(
        request_body=sent.body.decode(),
        signature_header=sent.headers["x-square-hmacsha256-signature"],
        signature_key=PLAIN,
        notification_url=URL,
    )


def test_coinbase_commerce_verifies_what_we_sign() -> None:
    sent = signed(source("coinbase_commerce"), "coinbase_commerce", event_id="e1")

    event = CoinbaseWebhook.construct_event(sent.body.decode(), sent.headers["x-cc-webhook-signature"], PLAIN)

    assert event.id == "e1"


def _bigcommerce() -> standardwebhooks.Webhook:
    """Return the verifier that BigCommerce's documentation shows."""
    return standardwebhooks.Webhook(base64.b64encode(PLAIN.encode()).decode())


def test_bigcommerce_s_sample_verifies_what_we_sign() -> None:
    sent: SignedRequest = signed(source("bigcommerce"), "bigcommerce", now_us=int(time.time()) * SECOND)

    assert _bigcommerce().verify(sent.body, dict(sent.headers))["scope"] == "store/order/created"


def test_a_batch_signed_for_gocardless_is_admitted_by_us_as_it_is_read_by_them() -> None:
    sent = signed(source("gocardless"), "gocardless", "mandates.cancelled", event_id="EV2")

    ours = events(source("gocardless").admit(delivered(sent), NOW_US))
    theirs = gocardless.parse(sent.body, PLAIN, sent.headers["webhook-signature"])

    assert [event.id for event in ours] == [event.id for event in theirs]


@pytest.mark.parametrize("event_type", PROVIDERS["recurly"].examples)
def test_recurly_is_signed_by_its_documented_formula(event_type: str) -> None:
    """No library of Recurly's for Python does it: `ms,hex`, over `ms.body`."""
    sent = signed(source("recurly"), "recurly", event_type)
    stamp = f"{NOW * 1_000}"

    assert sent.headers["recurly-signature"] == f"{stamp},{_digest(stamp.encode() + b'.' + sent.body).hex()}"


@pytest.mark.parametrize(
    "name, header, encoded",
    [
        ("checkout_com", "cko-signature", bytes.hex),
        ("lemon_squeezy", "x-signature", bytes.hex),
        ("flutterwave", "flutterwave-signature", lambda digest: base64.b64encode(digest).decode()),
        ("xero", "x-xero-signature", lambda digest: base64.b64encode(digest).decode()),
        ("quickbooks", "intuit-signature", lambda digest: base64.b64encode(digest).decode()),
    ],
)
def test_a_body_is_signed_by_its_documented_formula(name: str, header: str, encoded: Callable[[bytes], str]) -> None:
    """Where there is no library: SHA-256 under the secret as text."""
    sent = signed(source(name), name)

    assert sent.headers[header] == encoded(_digest(sent.body))


def _digest(message: bytes) -> bytes:
    return hmac.new(PLAIN.encode(), message, hashlib.sha256).digest()
