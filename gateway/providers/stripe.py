"""Stripe: `t.body` signed per endpoint, ids in the signed body."""

from gateway.core.feeds import AddressFeed, json_list
from gateway.core.provider import DAY, Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp
from gateway.providers import object_apis

_EVENT = """{
  "id": "$id",
  "object": "event",
  "api_version": "2025-09-30.clover",
  "created": $time_s,
  "data": {
    "object": %s
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {"id": "req_test", "idempotency_key": null},
  "type": "$type"
}
"""


def _event(data: str) -> Example:
    return Example(_EVENT % data, "application/json; charset=utf-8")


_INVOICE = (
    '{"id": "in_test", "object": "invoice", "amount_due": 4900, "amount_paid": 4900, "currency": "usd", '
    '"customer": "cus_test", "number": "TEST-0001", "status": "paid"}'
)

STRIPE = Provider(
    name="stripe",
    title="Stripe",
    category="payments",
    schemes=(
        Scheme(
            header="stripe-signature",
            split=",",
            message=("timestamp", ".", "body"),
            timestamp=Timestamp(header="stripe-signature", split=",", prefix="t="),
            # The whole text is the key, `whsec_` included: unlike Standard Webhooks it is not base64.
            macs=(Mac(key=Key(refuses=("sk_", "rk_", "pk_")), prefix="v1="),),
        ),
    ),
    shapes=(
        Shape(
            id="json:id",
            type="json:type",
            time="json:created",
            key="json:data.object.id | json:related_object.id",
        ),
    ),
    key_hint="the endpoint's signing secret (whsec_...), from Workbench > Webhooks > the endpoint; no API key",
    body_varies=True,
    retry_horizon=3 * DAY,
    redelivery_horizon=30 * DAY,
    max_body=MiB,
    keep_headers=("stripe-version",),
    sends={"user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
    examples={
        "invoice.paid": _event(_INVOICE),
        "invoice.payment_failed": _event(_INVOICE.replace('"paid"', '"open"').replace('paid": 4900', 'paid": 0')),
        "payment_intent.succeeded": _event(
            '{"id": "pi_test", "object": "payment_intent", "amount": 2000, "amount_received": 2000, '
            '"currency": "usd", "status": "succeeded"}'
        ),
        "checkout.session.completed": _event(
            '{"id": "cs_test", "object": "checkout.session", "amount_total": 2000, "currency": "usd", '
            '"customer": "cus_test", "payment_status": "paid", "status": "complete"}'
        ),
        "customer.created": _event('{"id": "cus_test", "object": "customer", "email": "test@example.com"}'),
    },
    object_api=object_apis.STRIPE,
    setup=(
        "In Workbench > Webhooks add an endpoint with the source's URL and choose its events.",
        "Reveal the endpoint's signing secret and configure it whole, whsec_ included.",
        "To roll the secret, choose an overlap, configure both secrets, and remove the old one when it expires.",
    ),
    traps=(
        "Each endpoint has a secret of its own, test and live mode too; `stripe listen` prints another one.",
        "Events do not come in order, and one change may be told by two events; compare the object's own state.",
        "A retry may show the same event with another body, so the id alone makes it a duplicate.",
        "A redirect counts as a failure: register the exact URL.",
    ),
    docs="https://docs.stripe.com/webhooks",
    # https://docs.stripe.com/ips
    feed=AddressFeed("https://stripe.com/files/ips/ips_webhooks.json", json_list("WEBHOOKS")),
)
