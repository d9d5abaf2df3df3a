"""Lemon Squeezy: the raw body signed; no event id."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = (
    '{"meta": {"event_name": "$type", "test_mode": true}, "data": {"type": "%s", "id": "$id", "attributes": '
    '{"store_id": 1, "created_at": "$time", "updated_at": "$time", %s}}}'
)


def _event(kind: str, attributes: str) -> Example:
    return Example(_EVENT % (kind, attributes))


LEMON_SQUEEZY = Provider(
    name="lemon_squeezy",
    title="Lemon Squeezy",
    category="payments",
    schemes=(signed_body("x-signature"),),
    shapes=(
        Shape(
            id="body:sha256",
            type="json:meta.event_name",
            time="json:data.attributes.updated_at | json:data.attributes.created_at",
            key="json:data.type + ':' + json:data.id",
        ),
    ),
    key_hint="the signing secret that was entered when the webhook was created, 6 to 40 characters",
    # 3 retries: 5, 25 and 125 s.
    retry_horizon=600.0,
    redelivery_horizon=86_400.0,
    keep_headers=("x-event-name",),
    sends={"x-event-name": "{type}"},
    examples={
        "order_created": _event("orders", '"status": "paid", "total": 1199, "currency": "USD"'),
        "subscription_updated": _event("subscriptions", '"status": "active", "customer_id": 1'),
    },
    setup=(
        "Under Settings > Webhooks add the source's URL, a signing secret of your own and the events.",
        "Configure the same secret; test mode has webhooks of its own.",
    ),
    traps=(
        "There are only three retries, all within a few minutes: a longer outage loses events.",
        "Events have no id: the same body is the same event.",
        "Only status 200 counts as delivered.",
    ),
    unsettled=("After how many seconds a delivery counts as failed.",),
    docs="https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
)
