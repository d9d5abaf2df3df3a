"""Adyen's standard webhooks: eight fields of each item, signed inside the item. Nothing else of the body is signed."""

import re
from collections.abc import Sequence

import msgspec

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import (
    DAY,
    Claim,
    ClaimsRule,
    Example,
    Key,
    Mac,
    Message,
    Provider,
    Scheme,
    Shape,
    Terms,
)
from gateway.core.signing import checker
from gateway.core.source import Ack, SignedRequest, SignRequest

_MAC = Mac(key=Key(encoding="hex"), encoding="base64")
# Fields are joined by ":" without escaping, and the merchant's reference may hold one. That no other field does is what
# keeps text from being moved between them.
_WORD = re.compile(r"[^:]{0,80}")
# In one form alone, since it is part of the event's id: what merely signs alike would be another event.
_OUTCOMES = frozenset({"true", "false", ""})
# Adyen sends one, at times a few. Nothing is verified yet, so each costs us more than its sender.
_MOST_ITEMS = 1_000


class _Amount(msgspec.Struct):
    value: int | str = ""
    currency: str = ""


class _Proof(msgspec.Struct, rename="camel"):
    hmac_signature: str = ""


class _Fields(msgspec.Struct, rename="camel"):
    psp_reference: str = ""
    original_reference: str | None = None
    merchant_account_code: str = ""
    merchant_reference: str | None = None
    amount: _Amount = msgspec.field(default_factory=_Amount)
    event_code: str = ""
    success: str = ""
    additional_data: _Proof = msgspec.field(default_factory=_Proof)


class _Item(msgspec.Struct, rename="pascal"):
    notification_request_item: _Fields


class _Body(msgspec.Struct, rename="camel"):
    notification_items: list[_Item]


_bodies = msgspec.json.Decoder(_Body)


def _message(item: _Fields) -> Message | None:
    """Return what is signed of an item, None if it could be read in two ways."""
    amount = item.amount
    before = (item.psp_reference, item.original_reference or "", item.merchant_account_code)
    behind = (str(amount.value), amount.currency, item.event_code, item.success)
    if item.success not in _OUTCOMES or not all(_WORD.fullmatch(text) for text in (*before, *behind)):
        return None
    return (":".join((*before, item.merchant_reference or "", *behind)).encode("utf-8", "replace"),)


def _claims(_terms: Terms) -> ClaimsRule:
    def claims(request: Request) -> Sequence[Claim] | RefusedReason:
        found, items = [], _items(request.body) or ()
        if len(items) > _MOST_ITEMS:
            return "signature_malformed"
        for fields in items:
            message, signature = _message(fields), fields.additional_data.hmac_signature
            if message is None:
                return "signature_malformed"
            if not signature:
                return "signature_missing"
            found.append(Claim(message, (signature.encode("utf-8", "replace"),)))
        return found

    return claims


def _items(body: bytes) -> Sequence[_Fields] | None:
    try:
        return [item.notification_request_item for item in _bodies.decode(body).notification_items]
    except (ValueError, RecursionError):
        return None


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    key, found = checker(_MAC, terms.secrets[0].text), _items(asked.body)
    if found is None:
        raise ValueError("such a body cannot be signed: it has no notificationItems")
    body = msgspec.json.decode(asked.body)
    for item, fields in zip(body["notificationItems"], found, strict=True):
        message = _message(fields)
        if message is None:
            raise ValueError("such an item cannot be signed: a field holds a colon")
        proof = {"hmacSignature": (key.sign(message) or b"").decode()}
        item["NotificationRequestItem"].setdefault("additionalData", {}).update(proof)
    return SignedRequest(method=asked.method, query=asked.query, headers={}, body=msgspec.json.encode(body))


def _event(fields: str) -> Example:
    return Example(
        '{"live": "false", "notificationItems": [{"NotificationRequestItem": {"eventCode": "$type", "success": "true", '
        '"eventDate": "$time", "merchantAccountCode": "TestMerchant", "pspReference": "$id", '
        f'"merchantReference": "order-1", {fields}}}}}]}}'
    )


_AT = "json:NotificationRequestItem"
_SIGNED = (
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
)

ADYEN = Provider(
    name="adyen",
    title="Adyen",
    category="payments",
    schemes=(Scheme(macs=(_MAC,), claims=_claims, covers=tuple(f"{_AT}.{name}" for name in _SIGNED), seal=_seal),),
    shapes=(
        Shape(
            split="notificationItems[*]",
            id=f"{_AT}.merchantAccountCode + ':' + {_AT}.pspReference + ':' + {_AT}.eventCode + ':' + {_AT}.success",
            type=f"{_AT}.eventCode",
            time=f"{_AT}.eventDate",
            key=f"{_AT}.originalReference | {_AT}.pspReference",
        ),
    ),
    key_hint="the HMAC key of the webhook, 64 hexadecimal digits, from Developers > Webhooks > the webhook > Security",
    body_varies=True,
    # Newer settings take any 2xx, older ones look for this text.
    accepted=Ack(body=b"[accepted]", content_type="text/plain"),
    timeout=10.0,
    retry_horizon=30 * DAY,
    examples={
        "AUTHORISATION": _event(
            '"originalReference": "", "amount": {"value": 1130, "currency": "EUR"}, "reason": "ok"'
        ),
        "CAPTURE": _event('"originalReference": "7914073381342284", "amount": {"value": 1130, "currency": "EUR"}'),
        "REFUND": _event('"originalReference": "7914073381342284", "amount": {"value": 500, "currency": "EUR"}'),
    },
    setup=(
        "In the Customer Area add a Standard webhook under Developers > Webhooks with the source's URL, method JSON.",
        "Under Security generate an HMAC key and configure it; test and live have keys of their own.",
        "After a change Adyen still signs with the former key for a while: configure both.",
    ),
    traps=(
        "Eight fields of each item are signed and no others: reason, eventDate and additionalData prove nothing.",
        "Fields are not escaped before they are signed, whatever guides say; the key is hexadecimal, not text.",
        '`success` is the outcome of the payment as a text: AUTHORISATION with "false" is a refusal.',
        "There is no event id: account, pspReference, eventCode and success make a duplicate, whatever else differs.",
        "Failing webhooks are queued and retried in order for up to 30 days: one refusal holds up all that follow.",
    ),
    docs="https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
)
