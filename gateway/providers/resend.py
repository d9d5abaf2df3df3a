"""Resend: signed by Svix."""

from dataclasses import replace

from gateway.core.provider import Example, MiB, Shape
from gateway.providers.svix import SVIX


def _event(fields: str) -> Example:
    return Example(
        '{"type": "$type", "created_at": "$time", "data": {"email_id": "56761188-7520-42d8-8898-ff6fc54ce618", '
        '"created_at": "$time", "from": "Test <test@example.com>", "to": ["delivered@example.com"], '
        '"subject": "Hello"' + fields + "}}"
    )


RESEND = replace(
    SVIX,
    name="resend",
    title="Resend",
    category="email",
    shapes=(
        Shape(
            id="header:@id",
            type="json:type",
            time="json:created_at",
            key="json:data.email_id | json:data.id | json:data.audience_id",
        ),
    ),
    key_hint="the webhook's signing secret (whsec_ and base64), on its page",
    max_body=MiB,
    examples={
        "email.delivered": _event(""),
        "email.bounced": _event(', "bounce": {"message": "The mailbox does not exist.", "type": "Permanent"}'),
    },
    setup=(
        "Under Webhooks add the source's URL and choose the events.",
        "Configure the signing secret whole, whsec_ included; while it is rotated, both.",
    ),
    traps=(
        "The text behind whsec_ is base64.",
        "Retries come after 5 s, 5 min, 30 min, 2 h, 5 h and 10 h, with the same id and a new timestamp.",
        "An email's events may come out of order.",
    ),
    docs="https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests",
)
