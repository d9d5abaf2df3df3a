"""Intercom: SHA-1 over the raw body."""

from gateway.core.provider import DAY, Challenge, Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _event(item: str) -> Example:
    return Example(
        '{"type": "notification_event", "app_id": "abc123", "data": {"type": "notification_event_data", "item": {'
        + item
        + '}}, "links": {}, "id": "$id", "topic": "$type", "delivery_status": "pending", "delivery_attempts": 1, '
        '"delivered_at": 0, "first_sent_at": $time_s, "created_at": $time_s}'
    )


INTERCOM = Provider(
    name="intercom",
    title="Intercom",
    category="crm",
    schemes=(signed_body("x-hub-signature", prefix="sha1=", algorithm="hmac-sha1"),),
    shapes=(
        Shape(
            # The ping at set-up has no id.
            id="json:id | body:sha256",
            type="json:topic",
            time="json:created_at",
            key="json:data.item.id | json:app_id",
        ),
    ),
    key_hint="the app's client secret, under Developer Hub > Basic information",
    # The notification counts its own deliveries.
    body_varies=True,
    challenges=(Challenge(methods=("HEAD",), signed=False),),
    methods=("POST", "HEAD"),
    retry_horizon=DAY,
    max_body=MiB,
    sends={"user-agent": "intercom-webhooks"},
    examples={
        "conversation.user.created": _event('"type": "conversation", "id": "12345", "state": "open"'),
        "contact.user.created": _event('"type": "contact", "id": "530370b477ad7120001d", "role": "user"'),
    },
    setup=(
        "Configure the app's client secret; the endpoint is tried when it is saved.",
        "In the Developer Hub, under Webhooks, enter the source's URL and subscribe to topics.",
    ),
    traps=(
        "The digest is SHA-1, in a header that other providers use for the same with SHA-256.",
        "delivery_attempts changes on a retry, so that the notification's id alone makes it a duplicate.",
        "Endpoints that take longer than 500 ms are served after the others.",
        "A 410 ends the subscription; 1000 errors running pause it for 15 minutes, 7 days of errors suspend it.",
    ),
    unsettled=(
        "How often Intercom retries: one retry after a minute is told by some; a day is assumed.",
        "After how long Intercom gives up on an answer (some say 5 s).",
        "Whether the endpoint is still tried with HEAD; it is answered.",
    ),
    docs="https://developers.intercom.com/docs/webhooks/webhook-notifications",
)
