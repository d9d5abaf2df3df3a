"""Calendly: `t.body` under `v1`, as at Stripe."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import stamped_list

CALENDLY = Provider(
    name="calendly",
    title="Calendly",
    category="productivity",
    schemes=(stamped_list("calendly-webhook-signature"),),
    shapes=(
        # No event has an id; what happened, to whom and when is told by the signed body.
        Shape(
            id="json:event + ':' + json:payload.uri + ':' + json:created_at | body:sha256",
            type="json:event",
            time="json:created_at",
            key="json:payload.uri",
        ),
    ),
    key_hint="the signing key of the webhook subscription, as given when it was made",
    timeout=15.0,
    retry_horizon=DAY,
    examples={
        "invitee.created": Example(
            '{"event": "$type", "created_at": "$time", "created_by": "https://api.calendly.com/users/AAAA", '
            '"payload": {"uri": "https://api.calendly.com/scheduled_events/AAA/invitees/$id", '
            '"email": "test@example.com", "name": "John Doe", "status": "active", "rescheduled": false}}'
        ),
        "invitee.canceled": Example(
            '{"event": "$type", "created_at": "$time", "created_by": "https://api.calendly.com/users/AAAA", '
            '"payload": {"uri": "https://api.calendly.com/scheduled_events/AAA/invitees/$id", '
            '"email": "test@example.com", "name": "John Doe", "status": "canceled", "rescheduled": false}}'
        ),
    },
    setup=(
        "Make a webhook subscription by Calendly's API with the source's URL and a signing_key of your own.",
        "Configure the same key here.",
    ),
    traps=(
        "A rescheduled meeting is two deliveries: invitee.canceled with rescheduled true, and invitee.created.",
        "A subscription that fails for a day is disabled.",
    ),
    unsettled=("That each retry is signed anew: Calendly's own sample takes three minutes, and it retries for a day.",),
    docs="https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
)
