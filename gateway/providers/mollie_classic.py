"""Mollie's classic webhooks: an unsigned form that names what changed, `id=tr_...`, to be fetched by the handler."""

import msgspec

from gateway.core.forms import form_fields
from gateway.core.provider import Example, Provider, Shape
from gateway.providers import object_apis
from gateway.providers.families import token_or_basic

_FORM = "application/x-www-form-urlencoded"
_KINDS = {"tr": "payment", "ord": "order", "pl": "payment-link", "sub": "subscription"}


def _decode(body: bytes, _content_type: str) -> bytes | None:
    """Return the form as JSON, with the kind of thing that its id tells."""
    ids = [value for name, value in form_fields(body) or () if name == b"id"]
    if not ids:
        return None
    text = ids[0].decode("utf-8", "replace")
    return msgspec.json.encode({"id": text, "kind": _KINDS.get(text.partition("_")[0], "changed")})


MOLLIE_CLASSIC = Provider(
    name="mollie_classic",
    title="Mollie (classic)",
    category="payments",
    schemes=token_or_basic(),
    shapes=(
        # The same words for each change of a payment: only the delivery tells them apart.
        Shape(id="delivery:id", type="json:kind", key="json:id"),
    ),
    key_hint="a token of your own choice at the end of the webhookUrl, ?token=...; or user:password before its host",
    secrets="optional",
    decode=_decode,
    timeout=15.0,
    # 10 attempts.
    retry_horizon=26 * 3_600.0,
    max_body=2**16,
    examples={
        "payment": Example("id=tr_$id", _FORM),
        "order": Example("id=ord_$id", _FORM),
    },
    object_api=object_apis.MOLLIE,
    setup=(
        "Give the source's URL as `webhookUrl` when a payment or order is created, with ?token= and the secret.",
        "Configure an API key for fetching: the delivery only names the payment, so a handler calls ctx.fetch.",
        "Without a token set allow_unverified: true; a false call can do no more than make a handler look again.",
    ),
    traps=(
        "Nothing of the delivery is to be believed but that there is something to look up.",
        "Every change of a payment sends the same words, so each delivery is an event: handlers take repeats calmly.",
        "Refunds and chargebacks call the payment's own URL with the payment's id.",
        "A key of test mode cannot fetch what was made in live mode.",
    ),
    docs="https://docs.mollie.com/reference/webhooks",
)
