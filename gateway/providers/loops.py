"""Loops: Standard Webhooks, with the event's name and time under names of their own."""

from dataclasses import replace

from gateway.core.provider import Example, MiB, Shape
from gateway.providers.standard_webhooks import STANDARD_WEBHOOKS


def _event(fields: str) -> Example:
    return Example(
        '{"eventName": "$type", "eventTime": $time_s, "webhookSchemaVersion": "1.0.0", "contactIdentity": '
        '{"id": "cm8xyz", "email": "test@example.com", "userId": null}' + fields + "}"
    )


LOOPS = replace(
    STANDARD_WEBHOOKS,
    name="loops",
    title="Loops",
    category="email",
    schemes=STANDARD_WEBHOOKS.schemes[-1:],
    shapes=(Shape(id="header:@id", type="json:eventName", time="json:eventTime", key="json:contactIdentity.id"),),
    key_hint="the endpoint's signing secret (whsec_ and base64), under Settings > Webhooks",
    max_body=MiB,
    keep_headers=("webhook-id", "webhook-timestamp"),
    examples={
        "contact.created": _event(', "contact": {"id": "cm8xyz", "email": "test@example.com", "subscribed": true}'),
        "email.delivered": _event(', "email": {"id": "cm8abc", "subject": "Hello"}'),
    },
    setup=(
        "Under Settings > Webhooks enter the source's URL and choose the events.",
        "Configure the signing secret whole, whsec_ included.",
    ),
    traps=(
        "An account has one endpoint, which gets at most 10 events a second.",
        "The event's name is in eventName and its time in eventTime, in seconds.",
    ),
    unsettled=("How long Loops retries; the 28 h of the service that it is built on are assumed.",),
    docs="https://loops.so/docs/webhooks",
)
