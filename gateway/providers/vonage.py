"""Vonage (Nexmo): a JWT as bearer token, with the digest of the body."""

import hashlib
import hmac

from gateway.core.admission import RefusedReason, Rejected, Request, Verified
from gateway.core.jwt import Token, read_token, signer, time_refusal, written
from gateway.core.provider import DAY, Example, MiB, Prover, Provider, Scheme, Shape, Terms, Timestamp
from gateway.core.source import SignedRequest, SignRequest
from gateway.core.verifying import Stamps

_HEADER = b"authorization"
# Nobody says whether a retry is signed anew; ids are signed, so an old copy is a duplicate.
_ISSUED = Timestamp(past=DAY + 3_600, future=60.0, refreshed_on_retry=False)


def _prover(terms: Terms) -> Prover:
    stamps = Stamps(_ISSUED, terms.tolerance)

    def prove(request: Request, now_us: int) -> Verified | Rejected:
        if _HEADER in request.repeated:
            return Rejected("signature_repeated")
        text = request.headers.get(_HEADER, b"")
        if not text:
            return Rejected("signature_missing")
        token = read_token(text[7:]) if text[:7].lower() == b"bearer " else None
        if token is None:
            return Rejected("signature_malformed")
        label = signer(token, ("HS256",), terms.secrets)
        refusal = _refusal(token, request, now_us, stamps) if label else None
        age = _age_us(token, now_us) / 1e6
        return Verified(label, age) if label and refusal is None else Rejected(refusal or "signature_mismatch", age)

    return prove


def _refusal(token: Token, request: Request, now_us: int, stamps: Stamps) -> RefusedReason | None:
    if token.seconds("iat") is None:
        return "timestamp_missing"
    digest = hashlib.sha256(request.body).hexdigest().encode()
    if not hmac.compare_digest(token.text("payload_hash").lower().encode(), digest):
        return "body_digest_mismatch"
    return stamps.refusal(_age_us(token, now_us)) or time_refusal(token, now_us)


def _age_us(token: Token, now_us: int) -> int:
    return now_us - round((token.seconds("iat") or 0.0) * 1_000_000)


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    claims = {
        "iat": asked.now_us // 1_000_000,
        "jti": asked.event_id,
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(asked.body).hexdigest(),
        "api_key": "test",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    }
    token = written({}, claims, terms.secrets[0].text.encode(), "HS256").decode()
    return SignedRequest(
        method="POST", query=asked.query, headers={"authorization": f"Bearer {token}"}, body=asked.body
    )


VONAGE = Provider(
    name="vonage",
    title="Vonage",
    category="messaging",
    schemes=(Scheme(header="authorization", prover=_prover, seal=_seal, covers=("body",), timestamp=_ISSUED),),
    shapes=(
        Shape(
            when="json:message_uuid",
            id="json:message_uuid + ':' + json:status + ':' + json:timestamp | json:message_uuid",
            type="'message.' + json:status | 'message.inbound'",
            time="json:timestamp",
            key="json:message_uuid",
        ),
        Shape(
            when="json:conversation_uuid",
            id="json:uuid + ':' + json:status + ':' + json:timestamp | body:sha256",
            type="'call.' + json:status | 'call'",
            time="json:timestamp",
            key="json:conversation_uuid",
        ),
        Shape(
            when="json:request_id",
            id="json:request_id + ':' + json:type + ':' + body:sha256 | body:sha256",
            type="'verify.' + json:type | 'verify'",
            time="json:submitted_at",
            key="json:request_id",
        ),
        Shape(id="body:sha256", type="json:type", key="json:conversation_id"),
    ),
    key_hint="the account's signature secret (Settings > API settings), not the API secret",
    retry_horizon=DAY,
    max_body=MiB,
    sends={"user-agent": "Vonage"},
    examples={
        "message.delivered": Example(
            '{"message_uuid": "$id", "to": "447700900000", "from": "447700900001", "timestamp": "$time", '
            '"status": "delivered", "channel": "sms", "usage": {"currency": "EUR", "price": "0.0333"}}'
        ),
        "message.inbound": Example(
            '{"message_uuid": "$id", "to": "447700900000", "from": "447700900001", "timestamp": "$time", '
            '"channel": "whatsapp", "message_type": "text", "text": "Hello"}'
        ),
        "call.answered": Example(
            '{"uuid": "$id", "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "status": "answered", '
            '"direction": "outbound", "from": "442079460000", "to": "447700900000", "timestamp": "$time"}'
        ),
    },
    setup=(
        "Configure the account's signature secret; messages are signed by default, voice by a setting.",
        "Enter the source's URL as the application's inbound, status or event URL, with POST.",
    ),
    traps=(
        "The signature secret is not the API secret; an account of another key signs with its own.",
        "Vonage may send a delivery unsigned after an error of its own: it is refused, and comes again signed.",
        "Answer URLs of voice calls want call instructions (NCCO) in the answer: they cannot be served here.",
        "The SMS API of old signs with a `sig` parameter instead; only deliveries with a JWT are taken.",
        "GET deliveries are not taken: their digest is of the parameters written as JSON.",
    ),
    unsettled=(
        "Whether a retry is signed anew; the tolerance spans the 24 h in which status webhooks are retried.",
        "Whether voice sends exactly the bytes that it takes the digest of; its pages write the JSON again first.",
    ),
    docs="https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks",
)
