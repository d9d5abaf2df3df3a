"""GoCardless: a signed batch of events, each with an id of its own."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = (
    '{"events": [{"id": "$id", "created_at": "$time", "resource_type": "%s", "action": "%s", "links": {%s}, '
    '"details": {"origin": "gocardless", "cause": "test", "description": "A test"}}], '
    '"meta": {"webhook_id": "WB123"}}'
)


def _event(resource: str, action: str, link: str) -> Example:
    return Example(_EVENT % (resource, action, link))


_AT = "json:links"

GOCARDLESS = Provider(
    name="gocardless",
    title="GoCardless",
    category="payments",
    schemes=(signed_body("webhook-signature"),),
    shapes=(
        Shape(
            split="events[*]",
            id="json:id",
            type="json:resource_type + '.' + json:action",
            time="json:created_at",
            key=f"{_AT}.payment | {_AT}.refund | {_AT}.mandate | {_AT}.payout | {_AT}.subscription | "
            f"{_AT}.billing_request | {_AT}.organisation",
            context={"gocardless-webhook-id": "root:meta.webhook_id"},
        ),
    ),
    key_hint="the endpoint's secret, from Developers > Webhook endpoints",
    timeout=10.0,
    # 8 retries at increasing intervals.
    retry_horizon=3 * DAY,
    redelivery_horizon=30 * DAY,
    examples={
        "payments.confirmed": _event("payments", "confirmed", '"payment": "PM123"'),
        "mandates.cancelled": _event("mandates", "cancelled", '"mandate": "MD123"'),
        "payouts.paid": _event("payouts", "paid", '"payout": "PO123"'),
    },
    setup=(
        "Under Developers > Create > Webhook endpoint enter the source's URL.",
        "Configure the endpoint's secret.",
    ),
    traps=(
        "A delivery holds up to 250 events; one that fails comes again whole, and only its new events are stored.",
        "Its libraries answer a bad signature by status 498; the gateway's 401 is a failure just the same.",
        "A redirect is a failure: register the exact URL.",
    ),
    unsettled=("The span of the 8 retries, for which only the first intervals are published; three days are assumed.",),
    docs="https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks",
)
