"""PayPal: RSA over the transmission, the webhook's id and the body's CRC-32, with a certificate fetched from PayPal."""

import re
import zlib

from gateway.core.admission import NeedsKey, Rejected, Request, Verified
from gateway.core.asymmetric import base64_bytes, certificate_key, verifies
from gateway.core.compile import FETCHED
from gateway.core.outgoing import Ask
from gateway.core.provider import DAY, Example, Prover, Provider, Scheme, Setting, Shape, Terms, Timestamp
from gateway.core.verifying import Stamps

_ID, _TIME, _SIGNATURE = b"paypal-transmission-id", b"paypal-transmission-time", b"paypal-transmission-sig"
_URL, _ALGORITHM = b"paypal-cert-url", b"paypal-auth-algo"
_HEADERS = frozenset({_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM})
_LONGEST = 2_048
# PayPal's API hosts and the path of their certificates: other hosts and paths of paypal.com may show what anyone wrote.
_CERTIFICATE = re.compile(r"https://api(-m)?(\.sandbox)?\.paypal\.com/v1/notifications/certs/[A-Za-z0-9_-]{1,128}")
_SUBJECT = r"([a-z0-9-]+\.){1,4}paypal\.com"
# Whether a retry is signed anew is not documented, so the first signature holds for all retries.
_STAMP = Timestamp(
    header="paypal-transmission-time", unit="iso", past=3 * DAY + 3_600.0, future=300.0, refreshed_on_retry=False
)


def _prover(terms: Terms) -> Prover:
    stamps = Stamps(_STAMP, terms.tolerance)
    webhook_ids = [text.encode() for text in terms.values.get("webhook_id", ())]

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        headers = request.headers
        if request.repeated and not _HEADERS.isdisjoint(request.repeated):
            return Rejected("signature_repeated")
        if not all(headers.get(name) for name in _HEADERS):
            return Rejected("signature_missing")
        signature, url = _read(request)
        micros = stamps.micros(headers[_TIME])
        if signature is None or url is None or micros is None:
            return Rejected("timestamp_malformed" if micros is None else "signature_malformed")
        pem = request.keys.get(url)
        key = None if pem is None else certificate_key(pem, _SUBJECT, now_us)
        if key is None:
            return NeedsKey(url)
        age = (now_us - micros) / 1e6
        if not any(verifies(key, _message(request, webhook_id), signature) for webhook_id in webhook_ids):
            return Rejected("signature_mismatch", age)
        refusal = stamps.refusal(now_us - micros)
        return Verified(FETCHED, age) if refusal is None else Rejected(refusal, age)

    return prove


def _read(request: Request) -> tuple[bytes | None, str | None]:
    """Return the signature and the certificate's URL, each None where it cannot be used."""
    headers = request.headers
    # SHA1withRSA, which PayPal's old SDK also takes, would be a downgrade.
    if headers[_ALGORITHM] != b"SHA256withRSA" or any(len(headers[name]) > _LONGEST for name in _HEADERS):
        return None, None
    url = headers[_URL].decode("latin-1")
    return base64_bytes(headers[_SIGNATURE]), url if _CERTIFICATE.fullmatch(url) else None


def _message(request: Request, webhook_id: bytes) -> bytes:
    checksum = str(zlib.crc32(request.body)).encode()
    return b"|".join((request.headers[_ID], request.headers[_TIME], webhook_id, checksum))


def _certificate(ref: str, _terms: Terms) -> Ask:
    return Ask(url=ref)


_EVENT = (
    '{"id": "$id", "event_version": "1.0", "create_time": "$time", "resource_type": "%s", "event_type": "$type", '
    '"summary": "A test", "resource": %s, "resource_version": "2.0", "links": []}'
)


def _event(kind: str, resource: str) -> Example:
    return Example(_EVENT % (kind, resource))


_AMOUNT = '"amount": {"currency_code": "EUR", "value": "10.00"}, "status": "COMPLETED"'

PAYPAL = Provider(
    name="paypal",
    title="PayPal",
    category="payments",
    schemes=(
        Scheme(
            header="paypal-transmission-sig",
            prover=_prover,
            covers=("body", "header:paypal-transmission-id", "header:paypal-transmission-time"),
            timestamp=_STAMP,
        ),
    ),
    shapes=(
        Shape(
            id="json:id",
            type="json:event_type",
            time="json:create_time",
            key="json:resource.supplementary_data.related_ids.order_id | json:resource.billing_agreement_id | "
            "json:resource.id",
        ),
    ),
    key_hint="none: PayPal signs with certificates of its own; the webhook's id is a setting",
    secrets="none",
    settings={
        "webhook_id": Setting(
            hint="the webhook's ID, from the app's page in the developer dashboard; WEBHOOK_ID for the simulator",
            many=True,
            pattern=r"[A-Za-z0-9_]{1,64}",
        )
    },
    key_request=_certificate,
    body_varies=True,
    retry_horizon=3 * DAY,
    keep_headers=("paypal-transmission-id", "paypal-transmission-time", "paypal-auth-version"),
    examples={
        "PAYMENT.CAPTURE.COMPLETED": _event("capture", '{"id": "3C679367HH908993G", ' + _AMOUNT + "}"),
        "CHECKOUT.ORDER.APPROVED": _event("checkout-order", '{"id": "5O190127TN364715T", "intent": "CAPTURE"}'),
        "BILLING.SUBSCRIPTION.ACTIVATED": _event("subscription", '{"id": "I-BW452GLLEP1G", "status": "ACTIVE"}'),
    },
    setup=(
        "In the developer dashboard open the app, add a webhook with the source's URL, and choose its events.",
        "Copy the ID shown beside the webhook into settings.webhook_id: it is part of what PayPal signs.",
        "Sandbox and live are apps of their own, with webhooks of their own: use a source for each.",
    ),
    traps=(
        "The signature covers the body's CRC-32 alone: whoever holds one delivery can make another body that fits it.",
        "So ask the API for the amount before anything is given out.",
        "The checksum is an unsigned decimal number, of the bytes as they came: JSON that was written anew never fits.",
        "The certificate is taken from PayPal's API hosts alone, whatever URL the header names.",
        "The transmission's id is another on each attempt: the event's own id, WH-..., is what makes a duplicate.",
        "Events of the webhooks simulator are signed for the webhook id WEBHOOK_ID.",
    ),
    unsettled=("Whether a retry is signed anew; until then the first signature holds for the three days of retries.",),
    docs="https://developer.paypal.com/api/rest/webhooks/rest/",
)
