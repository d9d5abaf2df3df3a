"""Replicate: Standard Webhooks; the body is the prediction itself."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers import standard_webhooks

REPLICATE = Provider(
    name="replicate",
    title="Replicate",
    category="developer",
    schemes=(standard_webhooks.scheme("webhook"),),
    shapes=(
        Shape(
            id="header:@id",
            # start, output, logs and completed are no fields of the body: its status is.
            type="'prediction.' + json:status",
            time="json:completed_at | json:started_at | json:created_at",
            key="json:id",
        ),
    ),
    key_hint="the account's webhook signing secret (whsec_ and base64), from webhooks.default.secret of the API",
    retry_horizon=60.0,
    keep_headers=("webhook-id", "webhook-timestamp"),
    sends={"@id": "{id}", "user-agent": "Replicate/1.0"},
    examples={
        "prediction.succeeded": Example(
            '{"id": "ufawqhfynnddngldkgtslldrkq", "version": "test", "created_at": "$time", "started_at": "$time", '
            '"completed_at": "$time", "status": "succeeded", "input": {"text": "Alice"}, "output": "hello Alice", '
            '"error": null, "logs": ""}'
        ),
    },
    setup=(
        "Get the signing secret: GET https://api.replicate.com/v1/webhooks/default/secret with an API token.",
        "Configure it whole, whsec_ included.",
        "Give the source's URL as webhook of each prediction or training, with webhook_events_filter as needed.",
    ),
    traps=(
        "One secret signs for the whole account.",
        "Without a filter each line of output and log is a delivery.",
        "Intermediate deliveries may be left out or come late: the one with completed_at is the last.",
        "The body is the whole prediction, output included; files in it expire within an hour.",
        "Only the last delivery of a prediction is tried again, for about a minute: ask the API for what is missing.",
    ),
    unsettled=("After how long Replicate gives up on an answer (its pages say 'a few seconds').",),
    docs="https://replicate.com/docs/topics/webhooks/verify-webhook",
)
