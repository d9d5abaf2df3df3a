"""Coinbase Commerce: the raw body signed; the event stands inside a delivery that counts its attempts."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

_CHARGE = (
    '{"attempt_number": 1, "event": {"api_version": "2018-03-22", "created_at": "$time", "data": {"id": '
    '"2aee9dd1-67b8-43ef-8dfe-977959850f27", "code": "XA6G6ZFR", "pricing": {"local": {"amount": "1.00", '
    '"currency": "USD"}}}, "id": "$id", "resource": "event", "type": "$type"}, "id": "5da3f4b2", '
    '"scheduled_for": "$time"}'
)

COINBASE_COMMERCE = Provider(
    name="coinbase_commerce",
    title="Coinbase Commerce",
    category="payments",
    schemes=(signed_body("x-cc-webhook-signature"),),
    shapes=(
        Shape(
            id="json:event.id",
            type="json:event.type",
            time="json:event.created_at",
            key="json:event.data.code | json:event.data.id",
        ),
    ),
    key_hint="the webhook shared secret, from Settings > Notifications > Webhook subscriptions",
    # `attempt_number` and `scheduled_for` change with each retry.
    body_varies=True,
    # With exponential backoff, at most an hour apart.
    retry_horizon=3 * DAY,
    examples={
        "charge:confirmed": Example(_CHARGE),
        "charge:pending": Example(_CHARGE),
        "charge:failed": Example(_CHARGE),
    },
    setup=(
        "Under Settings > Notifications add the source's URL to the webhook subscriptions.",
        "Show the shared secret there and configure it.",
    ),
    traps=(
        "The outer id is the delivery's; the event's own id, inside `event`, is what makes a duplicate.",
        "charge:pending is paid and not yet final; charge:confirmed is final.",
        "Only status 200 is documented as an acknowledgement.",
    ),
    docs="https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-overview",
)
