"""Sanity: `t.body` under `v1` in base64url, the time in milliseconds."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import FOREVER, stamped_list

SANITY = Provider(
    name="sanity",
    title="Sanity",
    category="developer",
    # Sanity's own library checks no age.
    schemes=(stamped_list("sanity-webhook-signature", unit="ms", tolerance=FOREVER, encoding="base64url"),),
    shapes=(
        Shape(
            # A projection may leave out whatever changes, so a body says nothing of which event it is.
            id="header:idempotency-key | delivery:id",
            type="json:_type + '.' + header:sanity-operation | header:sanity-operation",
            time="json:_updatedAt",
            key="json:_id | header:sanity-document-id",
        ),
    ),
    key_hint="the webhook's secret as typed in the project's API settings",
    timeout=30.0,
    # Two retries, 30 s apart, of answers 429 and 5xx.
    retry_horizon=180.0,
    keep_headers=(
        "idempotency-key",
        "sanity-operation",
        "sanity-dataset",
        "sanity-project-id",
        "sanity-document-id",
        "sanity-webhook-id",
        "sanity-transaction-id",
        "sanity-transaction-time",
    ),
    sends={"idempotency-key": "{id}", "sanity-operation": "update", "sanity-document-id": "resume"},
    examples={
        "post.update": Example('{"_id": "resume", "_type": "post", "_rev": "rev1", "_updatedAt": "$time"}'),
    },
    setup=(
        "In the project's API settings make a GROQ-powered webhook with the source's URL and a secret.",
        "Project at least _id, _type and _updatedAt, and configure the same secret here.",
    ),
    traps=(
        "What a body holds is what the webhook's projection says: without _type the event's type is the operation.",
        "Id and operation are unsigned headers: an id is bound to its body, and events say `type_unsigned`.",
        "The time is signed and in milliseconds, and nobody bounds its age: set `tolerance` to do so.",
        "Drafts and versions are left out unless the webhook's settings take them in.",
        "Only 429 and 5xx are retried, and only twice within a minute: a longer outage loses events.",
    ),
    docs="https://www.sanity.io/docs/webhooks",
)
