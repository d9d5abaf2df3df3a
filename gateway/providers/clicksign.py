"""Clicksign: the body signed by HMAC-SHA256."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

CLICKSIGN = Provider(
    name="clicksign",
    title="Clicksign",
    category="productivity",
    schemes=(signed_body("content-hmac", prefix="sha256="),),
    shapes=(
        # No event has an id. The body tells to the millisecond when it happened.
        Shape(
            when="json:event.occurred_at",
            id="body:sha256",
            type="json:event.name",
            time="json:event.occurred_at",
            key="json:document.key | json:acceptance.key | json:envelope.id",
        ),
        Shape(id="delivery:id", type="json:event.name | header:event", key="json:document.key"),
    ),
    key_hint="the webhook's HMAC SHA256 Secret",
    keep_headers=("event",),
    sends={"event": "{type}"},
    max_body=4 * MiB,
    examples={
        "sign": Example(
            '{"event": {"name": "sign", "data": {"signer": "$id"}, "occurred_at": "$time"}, '
            '"document": {"key": "b9d6c8b5-8d2d-4f6a-9b33", "status": "running"}}'
        ),
    },
    setup=("In the account's API settings add a webhook with the source's URL, and configure its secret here.",),
    traps=(
        "There is no event id: an event is known by its whole body, which tells its time in milliseconds.",
        "The body holds the document and all its events so far, so it grows.",
    ),
    unsettled=(
        "How long Clicksign waits for an answer, and whether and how long it retries, is not documented.",
        "Whether a retry has the same body: links to files in it may be made anew.",
    ),
    docs="https://developers.clicksign.com/docs/seguranca-de-webhooks",
)
