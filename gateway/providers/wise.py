"""Wise: the raw body signed with RSA, under a public key that its documentation shows."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = (
    '{"data": %s, "subscription_id": "01234567-89ab-cdef-0123-456789abcdef", "event_type": "$type", '
    '"schema_version": "2.0.0", "sent_at": "$time"}'
)


def _event(data: str) -> Example:
    return Example(_EVENT % data)


WISE = Provider(
    name="wise",
    title="Wise",
    category="payments",
    schemes=(signed_body("x-signature-sha256", algorithm="rsa-sha256", encoding="base64"),),
    shapes=(
        Shape(
            id="header:x-delivery-id | body:sha256",
            type="json:event_type",
            time="json:data.occurred_at | json:sent_at",
            key="json:data.resource.id | json:data.transfer_reference",
        ),
    ),
    key_hint="Wise's public key as PEM, from the page on event handling of its documentation; sandbox has another",
    timeout=5.0,
    # 25 attempts over two weeks.
    retry_horizon=14 * DAY,
    keep_headers=("x-delivery-id", "x-test-notification"),
    sends={"x-delivery-id": "{id}"},
    examples={
        "transfers#state-change": _event(
            '{"resource": {"type": "transfer", "id": 111, "profile_id": 222, "account_id": 333}, '
            '"current_state": "processing", "previous_state": "incoming_payment_waiting", "occurred_at": "$time"}'
        ),
        "balances#credit": _event(
            '{"resource": {"type": "balance-account", "id": 2, "profile_id": 222}, "amount": 1.23, "currency": "EUR", '
            '"post_transaction_balance_amount": 2.34, "occurred_at": "$time"}'
        ),
    },
    setup=(
        "Copy Wise's public key of the environment from its documentation and configure it as PEM.",
        "Create a subscription with the source's URL (port 443, no query string), by the API or in the settings.",
        "Wise sends a test notification at once.",
    ),
    traps=(
        "Each subscription to the same event sends its own delivery.",
        "Deliveries carry no personal data: a handler fetches the transfer or balance.",
        "`x-delivery-id` is not signed, so an id is bound to its body.",
    ),
    unsettled=(
        "Whether a retry keeps its x-delivery-id; if not, it is kept as a new event that says suspected_replay.",
    ),
    docs="https://docs.wise.com/guides/developer/webhooks/event-handling",
)
