"""Zapier (Webhooks by Zapier): a body of the operator's own making, and a token in a header or the URL."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import any_authorization

ZAPIER = Provider(
    name="zapier",
    title="Zapier",
    category="productivity",
    schemes=any_authorization(),
    shapes=(
        Shape(
            id="header:idempotency-key | json:idempotency_key | delivery:id",
            type="json:type | json:event | 'webhook'",
            time="json:time | json:timestamp",
            key="json:key | json:id",
        ),
    ),
    key_hint="a secret of your own: Authorization: Bearer SECRET among the headers, Basic Auth as user:password, or "
    "?token=SECRET in the URL",
    secrets="optional",
    timeout=30.0,
    retry_horizon=86_400.0,
    keep_headers=("idempotency-key",),
    sends={"user-agent": "Zapier"},
    examples={
        "row.added": Example('{"type": "$type", "idempotency_key": "$id", "time": "$time", "data": {"name": "Test"}}'),
    },
    setup=(
        "Make up a long secret and configure it here.",
        "Add the action Webhooks by Zapier > POST with the source's URL and the payload type JSON.",
        "Add the header Authorization with Bearer SECRET.",
        "Send a type, and a header Idempotency-Key with an id of the trigger's, so that a replayed run is known.",
    ),
    traps=(
        "Nothing is signed: only HTTPS and the secret keep what is sent.",
        "The payload is yours to write: without an idempotency key each delivery counts by itself.",
        "Custom requests that pass on user input can hold any type: check what you act on.",
    ),
    unsettled=("For how long a failed step is replayed: that depends on the Zap's settings.",),
    docs="https://help.zapier.com/hc/en-us/articles/8496326446989-Send-webhooks-in-Zaps",
)
