"""Segment (Twilio Segment) webhooks destination: each event's body signed by HMAC-SHA1."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import signed_body

SEGMENT = Provider(
    name="segment",
    title="Segment",
    category="crm",
    schemes=(signed_body("x-signature", algorithm="hmac-sha1"),),
    shapes=(
        Shape(
            # A mapping may send anything, so equal bodies may well be two events.
            id="json:messageId | delivery:id",
            type="json:type + '.' + json:event | json:type",
            time="json:originalTimestamp | json:timestamp",
            key="json:userId | json:anonymousId",
        ),
    ),
    key_hint="the Shared Secret of the Webhooks destination",
    timeout=5.0,
    retry_horizon=4 * 3600.0,
    examples={
        "track.Signed Up": Example(
            '{"messageId": "$id", "type": "track", "event": "Signed Up", "userId": "user_test", "channel": "server", '
            '"timestamp": "$time", "originalTimestamp": "$time", "sentAt": "$time", "properties": {"plan": "Pro"}}'
        ),
    },
    setup=(
        "Add the destination Webhooks (Actions), a mapping with the source's URL, and a Shared Secret.",
        "Switch batching off: with it only the first event of a request is signed. Configure the same secret here.",
    ),
    traps=(
        "With batching Segment signs no more than the first event, and nothing covers the rest: it is refused here.",
        "What a body holds is what the mapping says: keep messageId in it, or a repeated event counts as another.",
        "HMAC-SHA1 is what Segment signs with; no time is signed.",
    ),
    docs="https://segment.com/docs/connections/destinations/catalog/actions-webhook/",
)
