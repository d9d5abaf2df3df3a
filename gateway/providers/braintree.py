"""Braintree: a form of a payload (base64 of XML) and its signatures, and a challenge signed with the same key."""

import base64
import hashlib
import re
from collections.abc import Sequence
from urllib.parse import quote_plus

from gateway.core.admission import Handshake, RefusedReason, Request
from gateway.core.decoders import xml_json
from gateway.core.forms import form_fields
from gateway.core.provider import (
    DAY,
    Challenge,
    Claim,
    ClaimsRule,
    Example,
    Key,
    Mac,
    Provider,
    Scheme,
    Setting,
    Shape,
    Terms,
)
from gateway.core.signing import checker
from gateway.core.source import Ack, SignedRequest, SignRequest

_MAC = Mac(algorithm="hmac-sha1", key=Key(encoding="sha1"))
_CHALLENGE = re.compile(rb"[a-f0-9]{20,32}")
_PAYLOAD = re.compile(rb"[A-Za-z0-9+=/\n]+")
_MOST_SIGNATURES = 32


def _field(text: bytes, name: bytes) -> bytes | None:
    """Return the one value of a field, None where there is none or more than one."""
    values = [value for key, value in form_fields(text) or () if key == name]
    return values[0] if len(values) == 1 else None


def _claims(_terms: Terms) -> ClaimsRule:
    def claims(request: Request) -> Sequence[Claim] | RefusedReason:
        payload, signatures = _field(request.body, b"bt_payload"), _field(request.body, b"bt_signature")
        if payload is None or signatures is None:
            return "signature_missing"
        # Answers to challenges are signatures, too: a text that could be one is no payload.
        if not _PAYLOAD.fullmatch(payload) or _CHALLENGE.fullmatch(payload.strip()):
            return "signature_malformed"
        pairs = signatures.split(b"&")[:_MOST_SIGNATURES]
        found = [signature for public, bar, signature in (pair.partition(b"|") for pair in pairs) if bar and public]
        return (Claim((payload,), found, either=((payload, b"\n"),)),)

    return claims


def _decode(body: bytes, _content_type: str) -> bytes | None:
    """Return the notification as JSON, with the payload's digest: there is no other id."""
    payload = _field(body, b"bt_payload")
    if payload is None:
        return None
    try:
        notification = xml_json(base64.b64decode(payload))
    except ValueError:
        return None
    digest = hashlib.sha256(payload.strip()).hexdigest().encode()
    return None if notification is None else b'{"digest":"sha256:' + digest + b'",' + notification[1:]


def _answer(request: Request, terms: Terms) -> Handshake | None:
    challenge = _field(request.query, b"bt_challenge")
    if challenge is None or not _CHALLENGE.fullmatch(challenge):
        return None
    signature = checker(_MAC, terms.secrets[0].text).sign((challenge,)) or b""
    body = terms.value("public_key").encode() + b"|" + signature
    return Handshake(Ack(body=body, content_type="text/plain", headers=(("x-content-type-options", "nosniff"),)))


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    payload = _field(asked.body, b"bt_payload") or base64.encodebytes(asked.body)
    signature = (checker(_MAC, terms.secrets[0].text).sign((payload,)) or b"").decode()
    public = terms.value("public_key")
    body = f"bt_signature={quote_plus(f'{public}|{signature}')}&bt_payload={quote_plus(payload)}"
    headers = {"content-type": _FORM}
    return SignedRequest(method="POST", query=asked.query, headers=headers, body=body.encode())


_FORM = "application/x-www-form-urlencoded"


def _event(subject: str) -> Example:
    # The body before it becomes `bt_payload`.
    text = '<notification><timestamp type="datetime">$time</timestamp><kind>$type</kind><subject>%s</subject>'
    return Example(text % subject + "</notification>", "application/xml")


_AT = "json:notification.subject"

BRAINTREE = Provider(
    name="braintree",
    title="Braintree",
    category="payments",
    schemes=(Scheme(macs=(_MAC,), claims=_claims, covers=("body",), seal=_seal),),
    shapes=(
        Shape(
            id="json:digest",
            type="json:notification.kind",
            time="json:notification.timestamp",
            key=f"{_AT}.subscription.id | {_AT}.transaction.id | {_AT}.dispute.id | {_AT}.disbursement.id | "
            f"{_AT}.merchant-account.id",
        ),
    ),
    key_hint="the private key of the API key pair, from Settings > API > Keys",
    settings={
        "public_key": Setting(
            hint="the public key of the pair whose private key is the first secret", pattern=r"[A-Za-z0-9_]{1,64}"
        )
    },
    decode=_decode,
    body_varies=True,
    challenges=(Challenge(when="query:bt_challenge", methods=("GET",), signed=False, reply=_answer),),
    methods=("POST", "GET"),
    timeout=30.0,
    retry_horizon=DAY,
    max_body=2**20,
    examples={
        "subscription_charged_successfully": _event(
            "<subscription><id>$id</id><status>Active</status><price>10.00</price></subscription>"
        ),
        "dispute_opened": _event("<dispute><id>$id</id><amount>250.00</amount><kind>chargeback</kind></dispute>"),
        "check": _event('<check type="boolean">true</check>'),
    },
    setup=(
        "Configure the API key pair: the private key as the secret, the public key as settings.public_key.",
        "In the control panel under Settings > API > Webhooks create a webhook with the source's URL.",
        "Braintree asks a challenge at once, which the gateway answers.",
        "Use Check URL to send a test notification.",
    ),
    traps=(
        "The HMAC key is the SHA-1 digest of the private key, not the key itself.",
        "A handler gets the form: `bt_payload` is base64 of XML, with the event's kind and subject in it.",
        "There is no event id: the same payload is the same event.",
        "Notifications come in any order: compare their timestamps.",
    ),
    docs="https://developer.paypal.com/braintree/docs/guides/webhooks/parse/python",
)
