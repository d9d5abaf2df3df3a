"""Checkout.com: the raw body signed under the key of the webhook's workflow action."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = '{"id": "$id", "type": "$type", "version": "1.0.29", "%s": "$time", "data": %s}'


def _event(data: str, time: str = "created_on") -> Example:
    return Example(_EVENT % (time, data))


CHECKOUT_COM = Provider(
    name="checkout_com",
    title="Checkout.com",
    category="payments",
    schemes=(signed_body("cko-signature"),),
    shapes=(
        Shape(
            id="json:id",
            type="json:type",
            time="json:created_on | json:timestamp",
            key="json:data.payment_id | json:data.id",
        ),
    ),
    key_hint="the webhook's signature key, from Developers > Webhooks or the workflow's webhook action",
    timeout=10.0,
    # 8 retries: 5, 10, 15, 30 minutes, 1, 4, 12 and 12 hours after one another.
    retry_horizon=31 * 3_600.0,
    keep_headers=("cko-version",),
    examples={
        "payment_approved": _event('{"id": "pay_test", "action_id": "act_test", "amount": 2000, "currency": "EUR"}'),
        "payment_captured": _event('{"id": "pay_test", "amount": 2000, "currency": "EUR"}', "timestamp"),
        "dispute_received": _event('{"id": "dsp_test", "payment_id": "pay_test", "amount": 2000}'),
    },
    setup=(
        "Under Developers > Webhooks create a webhook with the source's URL, a signature key and the events.",
        "Configure the signature key. The authorization key there is a header that the gateway does not need.",
    ),
    traps=(
        "payment_captured may come before payment_approved: a handler must not wait for a certain order.",
        "The event's time is created_on in some types and timestamp in others.",
        "Amounts count in the currency's smallest unit.",
    ),
    docs="https://www.checkout.com/docs/developer-resources/event-notifications/receive-webhooks",
)
