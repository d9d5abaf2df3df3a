"""Razorpay: the raw body signed; the event's id stands in an unsigned header."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = (
    '{"entity": "event", "account_id": "acc_test", "event": "$type", "contains": ["%s"], '
    '"payload": {"%s": {"entity": %s}}, "created_at": $time_s}'
)


def _event(contains: str, entity: str) -> Example:
    return Example(_EVENT % (contains, contains, entity))


_AT = "json:payload"

RAZORPAY = Provider(
    name="razorpay",
    title="Razorpay",
    category="payments",
    schemes=(signed_body("x-razorpay-signature"),),
    shapes=(
        Shape(
            id="header:x-razorpay-event-id | body:sha256",
            type="json:event",
            time="json:created_at",
            key=f"{_AT}.payment.entity.order_id | {_AT}.order.entity.id | {_AT}.subscription.entity.id | "
            f"{_AT}.payment.entity.id | {_AT}.refund.entity.payment_id | {_AT}.payout.entity.id",
        ),
    ),
    key_hint="the webhook's secret as entered in its settings; not the API key's secret",
    timeout=5.0,
    retry_horizon=DAY,
    keep_headers=("x-razorpay-event-id",),
    sends={"x-razorpay-event-id": "{id}"},
    examples={
        "payment.captured": _event(
            "payment",
            '{"id": "pay_$id", "entity": "payment", "amount": 50000, "currency": "INR", "status": "captured", '
            '"order_id": "order_test"}',
        ),
        "refund.processed": _event(
            "refund", '{"id": "rfnd_$id", "entity": "refund", "amount": 50000, "payment_id": "pay_test"}'
        ),
        "subscription.charged": _event(
            "subscription", '{"id": "sub_$id", "entity": "subscription", "status": "active"}'
        ),
    },
    setup=(
        "Under Account & Settings > Webhooks add the source's URL, a secret of your own and the events.",
        "Configure the same secret. After a change keep the old one for a day: retries are signed with it.",
    ),
    traps=(
        "Razorpay disables a webhook that failed for 24 hours; it must be enabled again by hand.",
        "The event id is an unsigned header, so it is bound to its body.",
        "Events come in any order: payment.captured may come before payment.authorized.",
    ),
    unsettled=("That an answer is due within 5 s: it is not in the documentation that could be read.",),
    docs="https://razorpay.com/docs/webhooks/validate-test/",
)
