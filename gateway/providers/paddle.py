"""Paddle Billing: time, a colon and the raw body signed, in a list parted by semicolons."""

from gateway.core.provider import DAY, Example, Key, Mac, Provider, Scheme, Shape, Timestamp

_EVENT = '{"event_id": "$id", "event_type": "$type", "occurred_at": "$time", "notification_id": "ntf_test", "data": %s}'


def _event(data: str) -> Example:
    return Example(_EVENT % data)


PADDLE = Provider(
    name="paddle",
    title="Paddle Billing",
    category="payments",
    schemes=(
        Scheme(
            header="paddle-signature",
            split=";",
            message=("timestamp", ":", "body"),
            # Paddle's libraries allow 5 s; this leaves room for clocks and slow lines.
            timestamp=Timestamp(header="paddle-signature", split=";", prefix="ts=", past=30.0, future=30.0),
            macs=(Mac(key=Key(refuses=("pdl_live_", "pdl_sdbx_")), prefix="h1="),),
        ),
    ),
    shapes=(
        Shape(
            id="json:event_id",
            type="json:event_type",
            time="json:occurred_at",
            key="json:data.subscription_id | json:data.id",
        ),
    ),
    key_hint="the notification destination's secret key (pdl_ntfset_...), from Developer tools > Notifications",
    # A destination's notification_id stands in the body, so two destinations send two bodies for one event.
    body_varies=True,
    timeout=5.0,
    # 60 attempts.
    retry_horizon=3 * DAY,
    redelivery_horizon=90 * DAY,
    examples={
        "transaction.completed": _event('{"id": "txn_test", "status": "completed", "subscription_id": "sub_test"}'),
        "subscription.created": _event('{"id": "sub_test", "status": "active", "customer_id": "ctm_test"}'),
        "customer.created": _event('{"id": "ctm_test", "email": "test@example.com"}'),
    },
    setup=(
        "Under Developer tools > Notifications add a destination of type URL with the source's URL.",
        "Configure its secret key whole, pdl_ntfset_ included.",
    ),
    traps=(
        "The secret holds slashes and plus signs and is not base64: it is used as it is.",
        "While a secret is rotated the header holds several h1; any one that matches is enough.",
        "Paddle Classic signs in another way, by p_signature in a form: it is not this one.",
        "An event keeps its event_id at every destination, but each has a notification_id of its own.",
        "Answers are due within 5 s; keep the machine's clock right, for the signed time is checked closely.",
    ),
    docs="https://developer.paddle.com/webhooks/signature-verification",
)
