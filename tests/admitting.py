"""Builders for the tests of admission: sources, deliveries, and the vectors below `tests/vectors`."""

import base64
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.admission import Admission, Events, Handshake, Rejected, Request
from gateway.core.compile import compile_source
from gateway.core.event import Event
from gateway.core.provider import Provider
from gateway.core.source import Secret, SignedRequest, SignRequest, Source, SourceOptions
from gateway.providers import PROVIDERS
from gateway.providers.custom import provider_from
from gateway.providers.examples import example
from tests.keys import ED25519, P256

SECOND = 1_000_000
NOW = 1_700_000_000
NOW_US = NOW * SECOND
URL = "https://hooks.example.com/webhooks/test"
PLAIN = "a test secret"
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
# Where the plain one does not fit; a name that is not here and is called for is made below.
SECRETS = {
    **dict.fromkeys(("standard_webhooks", "svix", "clerk", "gitlab", "loops", "replicate", "resend"), WHSEC),
    **dict.fromkeys(("adyen", "adyen_platform"), HEX),
    **dict.fromkeys(("discord", "discord_events", "telnyx"), ED25519),
    **dict.fromkeys(("airtable", "microsoft_teams"), base64.b64encode(b"0123456789abcdef").decode()),
    "sendgrid": P256,
}
SETTINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "aws_sns": {"topics": ("arn:aws:sns:us-east-1:123456789012:orders",)},
    "azure_event_grid_entra": {"tenant": ("b6a6bd52-1f64-4b0e-8b2e-0e5d5b3d9a11",), "audience": ("api://webhook",)},
    "braintree": {"public_key": ("integration_public_key",)},
    "circle": {"api_key": ("TEST_API_KEY:id:secret",)},
    "google_pubsub": {"email": ("push@example-project.iam.gserviceaccount.com",)},
    "meta": {"verify_token": ("vt",)},
    "paypal": {"webhook_id": ("WEBHOOK_ID",)},
    "plaid": {"client_id": ("5af3",), "secret": ("a plaid secret",)},
    "youtube": {"verify_token": ("vt",)},
}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
VECTORS = Path(__file__).parent / "vectors"


def secret_of(provider: str) -> str:
    return rsa_pem() if provider == "wise" else SECRETS.get(provider, PLAIN)


@cache
def rsa_pem() -> str:
    """Return a private key, made once."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def source(provider: str | Provider, *texts: str, **options: Any) -> Source:
    """Compile a source with secrets labelled s0, s1, ..."""
    found = PROVIDERS[provider] if isinstance(provider, str) else provider
    texts = texts or (() if found.secrets == "none" else (secret_of(found.name),))
    secrets = tuple(Secret(f"s{index}", text) for index, text in enumerate(texts))
    options.setdefault("public_url", URL)
    options.setdefault("values", SETTINGS.get(found.name, {}))
    return compile_source(found, name="test", secrets=secrets, options=SourceOptions(**options))


def custom(scheme: Mapping[str, object], event: Mapping[str, object] | None = None) -> Provider:
    return provider_from(scheme, event or {})


def request(
    body: bytes = b"", headers: Mapping[str, str | bytes] | None = None, *, method: str = "POST", query: bytes = b"",
    repeated: tuple[str, ...] = (),
) -> Request:  # fmt: skip
    pairs = (headers or {}).items()
    return Request(
        method=method,
        query=query,
        headers={
            name.lower().encode(): value if isinstance(value, bytes) else value.encode("latin-1")
            for name, value in pairs
        },
        repeated=frozenset(name.encode() for name in repeated),
        body=body,
        received_us=NOW_US,
        delivery_id="delivery",
    )


def delivered(signed: SignedRequest, *, body: Any = None, **headers: str) -> Request:
    """Return the request that a signed one arrives as; `headers` are changed afterwards, `_` for `-`, "" removes."""
    changed = dict(signed.headers) | {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in changed.items() if value}
    return request(signed.body if body is None else body, kept, method=signed.method, query=signed.query)


def signed(target: Source, provider: str | Provider, event_type: str | None = None, **over: Any) -> SignedRequest:
    """Sign an example of the provider."""
    found = PROVIDERS[provider] if isinstance(provider, str) else provider
    assert target.sign is not None
    now_us = over.pop("now_us", NOW_US)
    asked = example(found, event_type, event_id=over.pop("event_id", "evt_1"), now_us=now_us)
    return target.sign(asked)


def reason(admission: Admission) -> str:
    assert isinstance(admission, Rejected), admission
    return admission.reason


def events(admission: Admission) -> tuple[Event, ...]:
    assert isinstance(admission, Events), admission
    return admission.events


def only(admission: Admission) -> Event:
    (event,) = events(admission)
    return event


def answer(admission: Admission) -> bytes:
    assert isinstance(admission, Handshake), admission
    return admission.ack.body


def admitted(provider: str, body: bytes, content_type: str = JSON, *, query: Any = b"", **headers: str) -> Admission:
    """Sign `body` for the provider with nothing but `headers` beside the proof, and admit it."""
    target = source(provider)
    assert target.sign is not None
    asked = SignRequest(body=body, now_us=NOW_US, event_id="sent", event_type="sent", content_type=content_type)
    sent = target.sign(asked)
    removed = {name.replace("-", "_"): "" for name in PROVIDERS[provider].sends if not name.startswith("@")}
    return target.admit(delivered(sent, **(removed | headers)), NOW_US)


def event_of(provider: str, body: object, content_type: str = JSON, **headers: str) -> Event:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return only(admitted(provider, encoded, content_type, **headers))


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


def vector_request(vector: Mapping[str, Any]) -> Request:
    query = vector["url"].partition("?")[2].encode()
    body = base64.b64decode(vector["body_b64"])
    found = request(body, vector["headers"], method=vector["method"], query=query)
    keys = {ref: text.encode() for ref, text in vector.get("keys", {}).items()}
    return msgspec.structs.replace(found, keys=keys)


def vector_secret(vector: Mapping[str, Any]) -> str:
    return base64.b64decode(vector["secret_b64"]).decode()
