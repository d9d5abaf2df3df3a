"""Libraries of clouds and identity providers as signers of what we verify, and as verifiers of what we sign."""

import hashlib
import hmac
import time

import google.auth.jwt
import msgspec
import svix.webhooks
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth.crypt import RSASigner
from replicate.webhook import Webhooks, WebhookSigningSecret
from workos.webhooks._verification import verify_header

from gateway.core.keysets import key_of
from gateway.providers.google_pubsub import KEYS
from tests.admitting import NOW, NOW_US, PLAIN, SECOND, URL, WHSEC, only, request, signed, source
from tests.provider_keys import KID, keyset, rsa_key, token

EMAIL = "pusher@example-project.iam.gserviceaccount.com"
CLAIMS = {
    "iss": "https://accounts.google.com",
    "aud": URL,
    "email": EMAIL,
    "email_verified": True,
    "iat": NOW,
    "exp": NOW + 3_600,
}
PUSH = (
    b'{"message": {"data": "aGVsbG8=", "messageId": "1", "publishTime": "2023-11-14T22:13:20Z"}, '
    b'"subscription": "projects/p/subscriptions/s"}'
)


def _now_us() -> int:
    return int(time.time()) * SECOND


def test_a_push_whose_token_google_s_library_signed_is_admitted() -> None:
    pem = rsa_key("provider").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    signer = RSASigner.from_string(pem, key_id=KID)  # type: ignore[no-untyped-call] # nor are the other two typed
    text = google.auth.jwt.encode(signer, CLAIMS).decode()  # type: ignore[no-untyped-call]
    arrived = request(PUSH, {"authorization": f"Bearer {text}"})

    admission = source("google_pubsub", values={"email": (EMAIL,)}).admit(
        msgspec.structs.replace(arrived, keys={KEYS: keyset()}), NOW_US
    )

    assert only(admission).id == "projects/p/subscriptions/s/1"


def test_google_s_library_verifies_by_the_key_that_we_read_from_a_key_set() -> None:
    key = key_of(keyset(), KID)
    assert key is not None
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    at = int(time.time())
    text = token({**CLAIMS, "iat": at, "exp": at + 3_600})

    claims = google.auth.jwt.decode(text, certs={KID: pem}, audience=URL)  # type: ignore[no-untyped-call]

    assert claims["email"] == EMAIL


def test_workos_verifies_what_we_sign() -> None:
    delivery = signed(source("workos"), "workos", now_us=_now_us())

    verify_header(
        event_body=delivery.body, event_signature=delivery.headers["workos-signature"], secret=PLAIN, tolerance=180
    )

    assert delivery.headers["workos-signature"].startswith("t=")


def test_replicate_verifies_what_we_sign() -> None:
    delivery = signed(source("replicate"), "replicate", now_us=_now_us())

    Webhooks.validate(
        headers=dict(delivery.headers), body=delivery.body.decode(), secret=WebhookSigningSecret(key=WHSEC),
        tolerance=300,
    )  # fmt: skip

    assert delivery.headers["webhook-id"] == "evt_1"


def test_the_svix_library_verifies_what_we_sign_for_clerk() -> None:
    delivery = signed(source("clerk"), "clerk", now_us=_now_us())

    svix.webhooks.Webhook(WHSEC).verify(delivery.body, dict(delivery.headers))

    assert delivery.headers["svix-id"] == "evt_1"


def test_a_delivery_signed_as_mux_documents_is_admitted() -> None:
    """Its library is for Node alone; these are the words of its page, step by step."""
    body = b'{"type": "video.asset.ready", "id": "1"}'
    digest = hmac.new(PLAIN.encode(), f"{NOW}.".encode() + body, hashlib.sha256).hexdigest()

    admission = source("mux").admit(request(body, {"mux-signature": f"t={NOW},v1={digest}"}), NOW_US)

    assert only(admission).type == "video.asset.ready"
