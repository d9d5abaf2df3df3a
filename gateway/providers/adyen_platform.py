"""Adyen's platform, banking, management and tokenization webhooks: the raw body signed, in a header."""

from gateway.core.provider import DAY, Example, Key, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import signed_body

ADYEN_PLATFORM = Provider(
    name="adyen_platform",
    title="Adyen for Platforms",
    category="payments",
    schemes=(signed_body("hmacsignature", encoding="base64", key=Key(encoding="hex")),),
    shapes=(
        Shape(
            id="body:sha256",
            type="json:type",
            time="json:timestamp | json:createdAt",
            key="json:data.accountHolder.id | json:data.balanceAccount.id | json:data.id",
        ),
    ),
    key_hint="the HMAC key of the webhook, hexadecimal, from Developers > Webhooks > the webhook > Security",
    accepted=Ack(body=b"[accepted]", content_type="text/plain"),
    timeout=10.0,
    retry_horizon=30 * DAY,
    keep_headers=("protocol",),
    sends={"protocol": "HmacSHA256"},
    examples={
        "balancePlatform.accountHolder.updated": Example(
            '{"data": {"balancePlatform": "Test", "accountHolder": {"id": "$id", "status": "active"}}, '
            '"environment": "test", "timestamp": "$time", "type": "$type"}'
        ),
        "balancePlatform.transfer.updated": Example(
            '{"data": {"id": "$id", "amount": {"currency": "EUR", "value": 1000}, "status": "booked"}, '
            '"environment": "test", "timestamp": "$time", "type": "$type"}'
        ),
    },
    setup=(
        "In the Customer Area add the platform, transfer, report or tokenization webhook with the source's URL.",
        "Generate its HMAC key and configure it; each webhook has one of its own.",
    ),
    traps=(
        "The key is hexadecimal: used as text it fits nothing.",
        "There is no event id: the same body is the same event.",
        "Standard payment webhooks are signed in another way: those are the provider `adyen`.",
    ),
    docs="https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
)
