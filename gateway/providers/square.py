"""Square: the notification URL exactly as registered, then the raw body."""

from gateway.core.provider import DAY, Example, Mac, Provider, Scheme, Shape

_EVENT = (
    '{"merchant_id": "MLTEST", "type": "$type", "event_id": "$id", "created_at": "$time", '
    '"data": {"type": "%s", "id": "%s_test", "object": %s}}'
)


def _event(kind: str, data: str) -> Example:
    return Example(_EVENT % (kind, kind, data))


SQUARE = Provider(
    name="square",
    title="Square",
    category="payments",
    schemes=(
        Scheme(
            header="x-square-hmacsha256-signature",
            message=("registered_url", "body"),
            macs=(Mac(encoding="base64"),),
        ),
    ),
    shapes=(
        Shape(
            id="json:event_id",
            type="json:type",
            time="json:created_at",
            key="json:merchant_id + ':' + json:data.id | json:merchant_id",
        ),
    ),
    key_hint="the subscription's signature key, from Webhooks > Subscriptions > Endpoint Details",
    needs_public_url=True,
    timeout=10.0,
    # The documentation says 24 hours, older copies of it 72.
    retry_horizon=3 * DAY,
    keep_headers=("square-version", "square-environment", "square-retry-number", "square-retry-reason"),
    sends={"square-environment": "Sandbox"},
    examples={
        "payment.updated": _event(
            "payment", '{"payment": {"id": "payment_test", "status": "COMPLETED", "version": 2}}'
        ),
        "invoice.payment_made": _event(
            "invoice", '{"invoice": {"id": "invoice_test", "status": "PAID", "version": 1}}'
        ),
        "customer.created": _event("customer", '{"customer": {"id": "customer_test", "version": 0}}'),
    },
    setup=(
        "In the Developer Console add a subscription under Webhooks > Subscriptions with the source's URL.",
        "Set public_url so that the source's URL is that one to the letter: it is part of what is signed.",
        "Configure the subscription's signature key as it is shown.",
    ),
    traps=(
        "The URL is signed as registered: http for https, another host or a slash at the end breaks every signature.",
        "The key looks like base64 and is not to be decoded.",
        "`data.type` is another word than `type`; events are ordered by the version of their object.",
        "Each subscription has a key of its own: do not let two share a source without both keys.",
    ),
    unsettled=("For how long deliveries are retried: 24 or 72 hours.",),
    docs="https://developer.squareup.com/docs/webhooks/step3validate",
)
