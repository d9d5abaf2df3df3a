"""EasyPost: the raw body signed under a secret that is normalised first."""

from gateway.core.provider import DAY, Example, Key, Provider, Shape
from gateway.providers.families import signed_body

_EVENT = (
    '{"id": "$id", "object": "Event", "created_at": "$time", "updated_at": "$time", "description": "$type", '
    '"mode": "test", "previous_attributes": {}, "status": "pending", "pending_urls": [], "completed_urls": [], '
    '"result": %s}'
)


def _event(result: str) -> Example:
    return Example(_EVENT % result)


EASYPOST = Provider(
    name="easypost",
    title="EasyPost",
    category="commerce",
    schemes=(signed_body("x-hmac-signature", prefix="hmac-sha256-hex=", key=Key(encoding="nfkd")),),
    shapes=(Shape(id="json:id", type="json:description", time="json:created_at", key="json:result.id"),),
    key_hint="the webhook_secret that was given when the webhook was created",
    # The body tells which URLs have been served, and so changes from attempt to attempt.
    body_varies=True,
    # "Less than 24 hours" of an outage are bridged.
    retry_horizon=DAY,
    examples={
        "tracker.updated": _event('{"id": "trk_test", "object": "Tracker", "status": "in_transit"}'),
        "batch.updated": _event('{"id": "batch_test", "object": "Batch", "state": "purchased"}'),
    },
    setup=(
        "Create the webhook by the API or the dashboard with the source's URL and a webhook_secret of your own.",
        "Configure the same secret.",
    ),
    traps=(
        "The secret is brought into Unicode's normal form NFKD before it signs: accents stand alone.",
        "Delivery is at least once and in any order: compare the tracker's own times.",
        "A webhook without a secret is not signed at all: set one.",
    ),
    unsettled=("After how many seconds a delivery counts as failed.",),
    docs="https://docs.easypost.com/guides/webhooks-guide",
)
