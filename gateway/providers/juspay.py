"""Juspay: Basic authentication, ids in the body, which nothing signs."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import basic_auth

JUSPAY = Provider(
    name="juspay",
    title="Juspay",
    category="payments",
    schemes=(basic_auth(),),
    shapes=(
        Shape(
            id="json:id",
            type="json:event_name",
            time="json:date_created",
            key="json:content.order.order_id",
        ),
    ),
    key_hint="username:password, as entered for the webhook in the dashboard's settings",
    examples={
        "ORDER_SUCCEEDED": Example(
            '{"id": "$id", "date_created": "$time", "event_name": "$type", '
            '"content": {"order": {"order_id": "order_test", "status": "CHARGED", "amount": 100.0, "currency": "INR"}}}'
        ),
    },
    setup=(
        "In the dashboard's webhook settings enter the source's URL, and a user name and password of your own.",
        "Configure both here, with a colon between them.",
    ),
    traps=(
        "Basic authentication covers no body: ask Juspay's order status API before money moves.",
        "The amount is a number with a fraction, not a count of paise.",
    ),
    unsettled=(
        "The names of the body's fields are second-hand.",
        "How long Juspay waits for an answer, and retries, is not documented.",
    ),
    docs="https://juspay.io/in/docs/resources/docs/common-resources/webhooks",
)
