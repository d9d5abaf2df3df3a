"""Paystack: the raw body signed with SHA-512 under the API's secret key."""

from gateway.core.provider import DAY, Example, Key, Provider, Shape
from gateway.providers.families import signed_body

PAYSTACK = Provider(
    name="paystack",
    title="Paystack",
    category="payments",
    schemes=(signed_body("x-paystack-signature", algorithm="hmac-sha512", key=Key(refuses=("pk_",))),),
    shapes=(
        Shape(
            # Not event and data.id: reminders of a dispute come with the same ones.
            id="body:sha256",
            type="json:event",
            time="json:data.paid_at | json:data.updated_at | json:data.created_at",
            key="json:data.reference | json:data.subscription_code | json:data.transfer_code | json:data.id",
        ),
    ),
    key_hint="the API's secret key (sk_live_... or sk_test_...), from Settings > API Keys & Webhooks",
    retry_horizon=3 * DAY,
    examples={
        "charge.success": Example(
            '{"event": "$type", "data": {"id": 302961, "status": "success", "reference": "$id", "amount": 10000, '
            '"currency": "NGN", "paid_at": "$time"}}'
        ),
        "transfer.success": Example(
            '{"event": "$type", "data": {"id": 37272792, "status": "success", "reference": "$id", "amount": 100000, '
            '"currency": "NGN", "transfer_code": "TRF_test", "updated_at": "$time"}}'
        ),
    },
    setup=(
        "Under Settings > API Keys & Webhooks enter the source's URL, in live and in test mode.",
        "Configure the mode's secret key: Paystack has no secret for webhooks alone.",
    ),
    traps=(
        "The signing secret is the API key: it can do anything, so keep it out of the configuration file.",
        "Events have no id: the same body is the same event.",
        "Test and live mode sign with keys of their own.",
    ),
    unsettled=(
        "The retries: every 3 minutes at first, then hourly, over 72 hours in live mode, is from memory.",
        "After how many seconds a delivery counts as failed.",
    ),
    docs="https://paystack.com/docs/payments/webhooks/",
)
