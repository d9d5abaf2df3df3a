"""Mollie's next-gen webhooks: the raw body signed; two signature headers for a day after the secret is rotated."""

from dataclasses import replace

from gateway.core.provider import Example, Provider, Shape
from gateway.providers import object_apis
from gateway.providers.families import signed_body

_EVENT = (
    '{"resource": "event", "id": "$id", "type": "$type", "entityId": "%s", "createdAt": "$time", '
    '"_links": {"self": {"href": "https://api.mollie.com/v2/events/$id", "type": "application/hal+json"}}}'
)


def _event(entity: str) -> Example:
    return Example(_EVENT % entity)


MOLLIE = Provider(
    name="mollie",
    title="Mollie",
    category="payments",
    schemes=(replace(signed_body("x-mollie-signature", prefix="sha256="), split=",", repeats=True),),
    shapes=(Shape(id="json:id", type="json:type", time="json:createdAt", key="json:entityId"),),
    key_hint="the webhook's signing secret, shown when it is created under Developers > Webhooks",
    timeout=15.0,
    # 10 attempts.
    retry_horizon=26 * 3_600.0,
    examples={
        "payment-link.paid": _event("pl_qng5gbbv8NAZ5gpM5ZYgx"),
        "payment.paid": _event("tr_5B8cwPMGnU6qLbRvo7qEZo"),
        "sales-invoice.paid": _event("invoice_4Y0eZitmBnQ6IDoMqZQKh"),
    },
    object_api=object_apis.MOLLIE_EVENTS,
    setup=(
        "Create a webhook with the source's URL under Developers > Webhooks or by POST /v2/webhooks; choose its types.",
        "Configure its signing secret; it is shown once.",
    ),
    traps=(
        "The simple payload only names its entity; the full one has it under _embedded.entity. Handlers take both.",
        "After the secret is rotated each event carries two signature headers for 24 hours; either one is enough.",
        "A payment's own `webhookUrl` is called in the classic, unsigned way: that is the provider `mollie_classic`.",
    ),
    docs="https://docs.mollie.com/reference/webhooks-new",
)
