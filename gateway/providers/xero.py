"""Xero: the raw body signed; empty batches, well and badly signed, as a probe of the endpoint."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import signed_body

_EVENT = (
    '{"events": [{"resourceUrl": "https://api.xero.com/api.xro/2.0/%ss/717f2bfc", "resourceId": "$id", '
    '"tenantId": "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f", "tenantType": "ORGANISATION", "eventCategory": "%s", '
    '"eventType": "%s", "eventDateUtc": "$time"}], "firstEventSequence": 1, "lastEventSequence": 1, '
    '"entropy": "S0m3r4Nd0mt3xt"}'
)


def _event(category: str, kind: str) -> Example:
    return Example(_EVENT % (category.capitalize(), category, kind))


XERO = Provider(
    name="xero",
    title="Xero",
    category="other",
    schemes=(signed_body("x-xero-signature", encoding="base64"),),
    shapes=(
        Shape(
            split="events[*]",
            id="json:tenantId + ':' + json:resourceId + ':' + json:eventCategory + ':' + json:eventType + ':' + "
            "json:eventDateUtc",
            type="json:eventCategory + '.' + json:eventType",
            time="json:eventDateUtc",
            key="json:tenantId + ':' + json:resourceId",
        ),
    ),
    key_hint="the webhooks key, from the app's Webhooks page",
    # 200, no body, no cookies: whatever else fails the probe.
    accepted=Ack(content_type="text/plain"),
    timeout=5.0,
    retry_horizon=DAY,
    examples={
        "CONTACT.UPDATE": _event("CONTACT", "UPDATE"),
        "INVOICE.CREATE": _event("INVOICE", "CREATE"),
    },
    setup=(
        "On the app's Webhooks page choose the events, enter the source's URL, and save.",
        "Configure the webhooks key, then send the `intent to receive`: Xero probes with good and bad signatures.",
    ),
    traps=(
        "The probe wants 200 for good and exactly 401 for bad signatures, within 5 s, without a body.",
        "The probe's batches are empty: nothing is stored.",
        "Events only name what changed: a handler fetches it, within Xero's limits of 60 calls a minute.",
        "After 24 hours of failures the webhook is disabled and must pass the probe again.",
    ),
    docs="https://developer.xero.com/documentation/guides/webhooks/overview/",
)
