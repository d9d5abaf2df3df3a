"""Brevo: nothing is signed; a bearer token, Basic credentials or a token in the URL; batches of events."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import any_authorization


def _event(fields: str) -> Example:
    return Example(
        '{"event": "$type", "email": "test@example.com", "id": 26224, "date": "$time", "ts": $time_s, '
        '"ts_event": $time_s, "message-id": "<$id@example.com>", "subject": "Hello", "tag": "welcome"' + fields + "}"
    )


BREVO = Provider(
    name="brevo",
    title="Brevo",
    category="email",
    schemes=any_authorization(),
    shapes=(
        Shape(
            split="[*]",
            # `id` is the webhook's own, the same in all of its events.
            id="json:event + ':' + json:message-id + ':' + body:sha256 | body:sha256",
            type="json:event",
            time="json:ts_event | json:ts",
            key="json:message-id | json:email",
        ),
    ),
    key_hint="the token given as auth when the webhook was created, or user:password or ?token=TEXT of its URL",
    secrets="optional",
    retry_horizon=12 * 3600.0,
    max_body=4 * MiB,
    sends={"user-agent": "SendinBlue Webhook"},
    examples={
        "delivered": _event(""),
        "hard_bounce": _event(', "reason": "550 unknown user"'),
    },
    setup=(
        "Create the webhook by POST /v3/webhooks with the source's URL and auth {type: bearer, token: TEXT}.",
        "Configure that text; with batched: true up to 500 events come together.",
    ),
    traps=(
        "Nothing is signed: whoever reads one delivery can send any other. Restrict the addresses as well.",
        "`id` is the webhook's and no event's: each is known by its content.",
        "Any 4xx or 5xx but 429 ends the retries, which come after 10 minutes, 1, 2 and 8 hours.",
    ),
    unsettled=("After how long Brevo gives up on an answer.",),
    docs="https://developers.brevo.com/docs/secured-webhooks",
)
