"""Circle: the raw body signed with ECDSA, under a key that its API gives by id."""

import re
from functools import lru_cache

import msgspec

from gateway.core.admission import NeedsKey, Rejected, Request, Verified
from gateway.core.asymmetric import PublicKey, base64_bytes, public_key, verifies
from gateway.core.compile import FETCHED
from gateway.core.outgoing import Ask
from gateway.core.provider import DAY, Challenge, Example, Prover, Provider, Scheme, Setting, Shape, Terms

_SIGNATURE, _KEY_ID = b"x-circle-signature", b"x-circle-key-id"
_HEADERS = frozenset({_SIGNATURE, _KEY_ID})
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ENDPOINT = "https://api.circle.com/v2/notifications/publicKey"
_LONGEST = 256


class _Key(msgspec.Struct, rename="camel"):
    id: str
    public_key: str
    algorithm: str = "ECDSA_SHA_256"


class _Answer(msgspec.Struct):
    data: _Key


_answers = msgspec.json.Decoder(_Answer)


def _prover(terms: Terms) -> Prover:
    endpoint = terms.value("key_endpoint") or _ENDPOINT

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:  # noqa: ARG001 - no time is signed
        if request.repeated and not _HEADERS.isdisjoint(request.repeated):
            return Rejected("signature_repeated")
        text, key_id = request.headers.get(_SIGNATURE), request.headers.get(_KEY_ID, b"").decode("latin-1")
        if not text or not key_id:
            return Rejected("signature_missing")
        signature = base64_bytes(text) if len(text) <= _LONGEST else None
        if signature is None or not _UUID.fullmatch(key_id):
            return Rejected("signature_malformed")
        ref = f"{endpoint}/{key_id}"
        key = _key(request.keys.get(ref, b""), key_id)
        if key is None:
            return NeedsKey(ref)
        return Verified(FETCHED, None) if verifies(key, request.body, signature) else Rejected("signature_mismatch")

    return prove


@lru_cache(maxsize=64)
def _key(answer: bytes, key_id: str) -> PublicKey | None:
    """Return the key of an answer, None where it is none, or another's."""
    try:
        found = _answers.decode(answer).data
        if found.id.lower() != key_id.lower() or found.algorithm != "ECDSA_SHA_256":
            return None
        return public_key("ecdsa-p256-sha256", base64_bytes(found.public_key.encode()) or b"")
    except (ValueError, RecursionError):
        return None


def _ask(ref: str, terms: Terms) -> Ask:
    return Ask(url=ref, headers={"accept": "application/json", "authorization": f"Bearer {terms.value('api_key')}"})


_EVENT = (
    '{"subscriptionId": "f0332621-a117-4b7b-bdf0-5c61a4681826", "notificationId": "$id", '
    '"notificationType": "$type", "notification": %s, "timestamp": "$time", "version": 2}'
)


def _event(resource: str) -> Example:
    return Example(_EVENT % resource)


CIRCLE = Provider(
    name="circle",
    title="Circle",
    category="payments",
    schemes=(Scheme(header="x-circle-signature", also=("x-circle-key-id",), prover=_prover, covers=("body",)),),
    shapes=(
        Shape(
            id="json:notificationId",
            type="json:notificationType",
            time="json:timestamp",
            key="json:notification.walletId | json:notification.id",
        ),
    ),
    key_hint="none: Circle signs with keys of its own, which its API gives for an API key",
    secrets="none",
    settings={
        "api_key": Setting(hint="an API key (PREFIX:ID:SECRET), from the console's API & Client Keys", secret=True),
        "key_endpoint": Setting(
            hint="the product's public key endpoint; the one of Wallets, Contracts and Gateway if it is not set: "
            + _ENDPOINT,
            needed=False,
            pattern=r"https://(gateway-)?api(-sandbox|-testnet)?\.circle\.com/v2/((cpn|stablefx)/)?notifications/publicKey",
        ),
    },
    key_request=_ask,
    challenges=(Challenge(methods=("HEAD",), signed=False),),
    methods=("POST", "HEAD"),
    retry_horizon=2 * DAY,
    examples={
        "transactions.inbound": _event(
            '{"id": "$id", "walletId": "c4d1da72-111e-4d52-bdbf-2e74a2d803d5", "amounts": ["1"], "state": "COMPLETED"}'
        ),
        "webhooks.test": _event('{"hello": "world"}'),
    },
    setup=(
        "Set settings.api_key: the gateway asks Circle's API for the public keys with it.",
        "In the console add a webhook with the source's URL; Circle probes it and sends a test notification.",
        "For CPN or StableFX set settings.key_endpoint to that product's endpoint.",
    ),
    traps=(
        "Each subscription has a key of its own, named in a header; the gateway fetches and keeps it.",
        "Circle Mint and other products with version 1 notifications send by Amazon SNS: use `aws_sns` for those.",
    ),
    unsettled=("How long Wallets retries: the span of CPN's published schedule, a day and a half, is taken for all.",),
    docs="https://developers.circle.com/api-reference/verify-webhook-signatures",
)
