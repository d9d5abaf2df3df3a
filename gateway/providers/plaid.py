"""Plaid: a token of ES256 that holds the body's digest, with keys that Plaid's API gives one by one."""

import hashlib
import hmac
import re
from functools import lru_cache

import msgspec

from gateway.core.admission import NeedsKey, RefusedReason, Rejected, Request, Verified
from gateway.core.asymmetric import PublicKey, jwk_key
from gateway.core.compile import FETCHED
from gateway.core.jwt import Token, read_token, signed_by
from gateway.core.outgoing import Ask
from gateway.core.provider import DAY, Example, Prover, Provider, Scheme, Setting, Shape, Terms, Timestamp
from gateway.core.verifying import Stamps

_HEADER = b"plaid-verification"
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STAMP = Timestamp(past=300.0, future=60.0)
_answers = msgspec.json.Decoder(dict[str, object])


def _prover(terms: Terms) -> Prover:
    stamps = Stamps(_STAMP, terms.tolerance)
    url = f"https://{terms.value('environment') or 'production'}.plaid.com/webhook_verification_key/get"

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        token = _token(request)
        if isinstance(token, str):
            return Rejected(token)
        age_us = now_us - round((token.seconds("iat") or 0.0) * 1_000_000)
        # Before a key is asked for, since it costs nothing.
        if not _holds_body(token, request.body):
            return Rejected("body_digest_mismatch", age_us / 1e6)
        kid = str(token.header["kid"])
        key = _key(request.keys.get(f"{url}#{kid}", b""), kid, now_us // 1_000_000)
        if key is None:
            return NeedsKey(f"{url}#{kid}")
        if not signed_by(token, "ES256", key):
            return Rejected("signature_mismatch", age_us / 1e6)
        refusal = stamps.refusal(age_us)
        return Verified(FETCHED, age_us / 1e6) if refusal is None else Rejected(refusal, age_us / 1e6)

    return prove


def _token(request: Request) -> Token | RefusedReason:
    """Return the token, taken apart, or why there is none that could be verified."""
    if _HEADER in request.repeated:
        return "signature_repeated"
    text = request.headers.get(_HEADER)
    if not text:
        return "signature_missing"
    token = read_token(text)
    kid = None if token is None else token.header.get("kid")
    if token is None or token.header.get("alg") != "ES256" or not isinstance(kid, str) or not _KID.fullmatch(kid):
        return "signature_malformed"
    return "timestamp_missing" if token.seconds("iat") is None else token


def _holds_body(token: Token, body: bytes) -> bool:
    claimed = token.text("request_body_sha256").encode("utf-8", "replace")
    return hmac.compare_digest(claimed, hashlib.sha256(body).hexdigest().encode())


def _key(answer: bytes, kid: str, now_s: int) -> PublicKey | None:
    """Return the key of an answer, None where it is none, or another's, or expired."""
    jwk = _jwk(answer)
    expired = jwk.get("expired_at")
    if jwk.get("kid") != kid or (isinstance(expired, int | float) and expired <= now_s):
        return None
    return _public(answer)


@lru_cache(maxsize=64)
def _jwk(answer: bytes) -> dict[str, object]:
    try:
        found = _answers.decode(answer).get("key")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=64)
def _public(answer: bytes) -> PublicKey | None:
    return jwk_key(_jwk(answer))


def _ask(ref: str, terms: Terms) -> Ask:
    url, _, kid = ref.partition("#")
    credentials = {"client_id": terms.value("client_id"), "secret": terms.value("secret"), "key_id": kid}
    return Ask(
        url=url, method="POST", headers={"content-type": "application/json"}, body=msgspec.json.encode(credentials)
    )


PLAID = Provider(
    name="plaid",
    title="Plaid",
    category="payments",
    schemes=(Scheme(header="plaid-verification", prover=_prover, covers=("body",), timestamp=_STAMP),),
    shapes=(
        Shape(
            # Plaid gives no id, and says the same again in the same words whenever there is something new to fetch.
            id="delivery:id",
            type="json:webhook_type + '.' + json:webhook_code | json:webhook_type",
            key="json:item_id | json:link_session_id | json:user_id",
        ),
    ),
    key_hint="none: Plaid signs with keys of its own, which its API gives for client_id and secret",
    secrets="none",
    settings={
        "client_id": Setting(hint="the client id, from the dashboard's Keys page", pattern=r"[A-Za-z0-9]{1,64}"),
        "secret": Setting(hint="the environment's secret, from the dashboard's Keys page", secret=True),
        "environment": Setting(
            hint="production or sandbox; production if it is not set", needed=False, pattern="production|sandbox"
        ),
    },
    key_request=_ask,
    timeout=10.0,
    retry_horizon=DAY,
    examples={
        "TRANSACTIONS.SYNC_UPDATES_AVAILABLE": Example(
            '{"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": "$id", '
            '"initial_update_complete": true, "historical_update_complete": true, "environment": "sandbox"}'
        ),
        "ITEM.ERROR": Example(
            '{"webhook_type": "ITEM", "webhook_code": "ERROR", "item_id": "$id", "error": {"error_type": '
            '"ITEM_ERROR", "error_code": "ITEM_LOGIN_REQUIRED"}, "environment": "sandbox"}'
        ),
    },
    setup=(
        "Set settings.client_id and settings.secret: the gateway asks Plaid's API for the keys with them.",
        "Pass the source's URL as `webhook` when a link token is created, or set it in the dashboard.",
    ),
    traps=(
        "Events have no id, and one may read word for word as the last: so each delivery counts as an event.",
        "Handlers fetch what is new, and take a repeated call calmly.",
        "The body's digest is over the bytes as sent, two spaces of indentation included.",
        "Only ES256 is taken, whatever algorithm the token names.",
        "Plaid stops retrying for an endpoint that refused nine of ten webhooks in a day.",
    ),
    unsettled=("That a retry carries a token of its own: its age limit of 5 minutes makes sense only then.",),
    docs="https://plaid.com/docs/api/webhooks/webhook-verification/",
)
