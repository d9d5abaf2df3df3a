"""Chargebee: Basic authentication alone; the event can be fetched again by its id."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers import object_apis
from gateway.providers.families import basic_auth

_EVENT = (
    '{"id": "$id", "occurred_at": $time_s, "source": "api", "object": "event", "api_version": "v2", '
    '"event_type": "$type", "content": %s}'
)


def _event(content: str) -> Example:
    return Example(_EVENT % content)


_SUBSCRIPTION = (
    '"subscription": {"id": "sub_test", "customer_id": "cus_test", "status": "active", "object": "subscription"}'
)
_CUSTOMER = '"customer": {"id": "cus_test", "email": "test@example.com", "object": "customer"}'

CHARGEBEE = Provider(
    name="chargebee",
    title="Chargebee",
    category="payments",
    schemes=(basic_auth(),),
    shapes=(
        Shape(
            id="json:id",
            type="json:event_type",
            time="json:occurred_at",
            key="json:content.subscription.id | json:content.customer.id | json:content.invoice.id",
        ),
    ),
    key_hint="user:password of Basic authentication, as entered in the webhook's settings",
    timeout=20.0,
    # The last of 7 retries comes 3 days, 6 hours and 38 minutes after the first attempt.
    retry_horizon=4 * DAY,
    examples={
        "subscription_created": _event("{" + _SUBSCRIPTION + ", " + _CUSTOMER + "}"),
        "payment_succeeded": _event(
            '{"transaction": {"id": "txn_test", "amount": 1900, "currency_code": "EUR", "status": "success"}, '
            + _SUBSCRIPTION
            + ", "
            + _CUSTOMER
            + "}"
        ),
        "customer_created": _event("{" + _CUSTOMER + "}"),
    },
    object_api=object_apis.CHARGEBEE,
    setup=(
        "Under Settings > Configure Chargebee > API Keys and Webhooks add a webhook with the source's URL.",
        "Protect it with Basic authentication, and configure user and password joined by a colon.",
        "Choose the API version that your handlers read.",
    ),
    traps=(
        "Nothing signs the body: what counts should be fetched again, which ctx.fetch does by the event's id.",
        "Events come more than once and in any order: compare the resource_version of what they hold.",
        "A password may hold colons: only the first one separates the user.",
    ),
    unsettled=("Whether a retry shows another `webhook_status` in its body, and so reads as a conflict.",),
    docs="https://www.chargebee.com/docs/webhook_settings.html",
)
