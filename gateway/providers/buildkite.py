"""Buildkite: `timestamp.body` signed by HMAC-SHA256, or the webhook's token in a header."""

from gateway.core.provider import Example, Mac, MiB, Provider, Scheme, Shape, Timestamp
from gateway.providers.families import shared_token

_HEADER = "x-buildkite-signature"


def _build(state: str) -> Example:
    return Example(
        '{"event": "$type", "build": {"id": "$id", "number": 27, "state": "' + state + '", "branch": "main", '
        '"blocked": false, "created_at": "$time"}, "pipeline": {"id": "849411f9-9e6d-4739", "slug": "test"}, '
        '"sender": {"id": "8a7693f8-dbae-4783", "name": "Test"}}'
    )


BUILDKITE = Provider(
    name="buildkite",
    title="Buildkite",
    category="developer",
    schemes=(
        shared_token("x-buildkite-token", when="x-buildkite-token"),
        Scheme(
            header=_HEADER,
            split=",",
            message=("timestamp", ".", "body"),
            timestamp=Timestamp(header=_HEADER, split=",", prefix="timestamp="),
            macs=(Mac(prefix="signature="),),
        ),
    ),
    shapes=(
        # No event has an id, and a build that runs again after a block may say the same as before.
        Shape(
            id="delivery:id",
            type="json:event | header:x-buildkite-event",
            time="json:build.finished_at | json:build.started_at | json:build.created_at",
            key="json:build.id | json:job.id | json:agent.id",
        ),
    ),
    key_hint="the Token of the webhook's notification service",
    max_body=4 * MiB,
    keep_headers=("x-buildkite-event",),
    sends={"x-buildkite-event": "{type}"},
    examples={"build.scheduled": _build("scheduled"), "build.finished": _build("passed")},
    setup=(
        "Under Settings > Notification Services add a webhook with the source's URL and choose its events.",
        "Let it send an HMAC signature (X-Buildkite-Signature), and configure its token here.",
    ),
    traps=(
        "A webhook that sends its token instead of a signature is taken too, but nothing covers its body then.",
        "There is no event id: each delivery is an event, and handlers take repeats calmly.",
        "The signature's time is that of sending. After fast changes a body may show a later state than its event.",
    ),
    unsettled=("Whether Buildkite retries, and how long it waits for an answer.",),
    docs="https://buildkite.com/docs/apis/webhooks/pipelines",
)
