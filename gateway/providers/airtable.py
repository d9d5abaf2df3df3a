"""Airtable: a signed ping that says a base has changed; the changes are listed by its API."""

from gateway.core.provider import DAY, Example, Key, Provider, Shape
from gateway.core.source import Ack
from gateway.providers import object_apis
from gateway.providers.families import signed_body

AIRTABLE = Provider(
    name="airtable",
    title="Airtable",
    category="productivity",
    schemes=(signed_body("x-airtable-content-mac", prefix="hmac-sha256=", key=Key(encoding="base64")),),
    shapes=(
        Shape(
            id="json:webhook.id + ':' + json:timestamp",
            type="'ping'",
            time="json:timestamp",
            key="json:webhook.id",
        ),
    ),
    key_hint="the webhook's macSecretBase64, shown once when the webhook is made",
    # Whatever stands in the answer counts as a failure.
    accepted=Ack(body=b"", content_type="text/plain"),
    timeout=25.0,
    retry_horizon=DAY,
    examples={
        "ping": Example('{"base": {"id": "appTest0000000000"}, "webhook": {"id": "ach$id"}, "timestamp": "$time"}'),
    },
    object_api=object_apis.AIRTABLE,
    setup=(
        "Make the webhook by Airtable's API with the source's URL as notificationUrl, and keep its macSecretBase64.",
        "In a handler list the payloads from its own cursor on, in the order of baseTransactionNumber.",
        "Refresh the webhook before it expires, seven days after it was made: that is for its owner to do.",
    ),
    traps=(
        "The secret is base64 of the key: the text itself signs nothing.",
        "A webhook expires after seven days unless its owner refreshes it; the gateway does not.",
        "The ping holds no data: one that is missed costs nothing once the next one comes.",
    ),
    docs="https://airtable.com/developers/web/api/webhooks-overview",
)
