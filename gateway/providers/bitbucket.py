"""Bitbucket Cloud: the body signed by HMAC-SHA256, ids and types in headers beside it."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

BITBUCKET = Provider(
    name="bitbucket",
    title="Bitbucket Cloud",
    category="developer",
    # The header has no -256 in its name, as at GitHub the SHA-1 one has.
    schemes=(signed_body("x-hub-signature", prefix="sha256="),),
    shapes=(
        Shape(
            id="header:x-hook-uuid + ':' + header:x-request-uuid | header:x-request-uuid",
            type="header:x-event-key",
            key="json:repository.uuid",
        ),
    ),
    key_hint="the webhook's secret as typed in its settings",
    timeout=10.0,
    retry_horizon=3600.0,
    max_body=MiB,
    keep_headers=("x-event-key", "x-hook-uuid", "x-request-uuid", "x-attempt-number"),
    sends={
        "x-event-key": "{type}",
        "x-hook-uuid": "{5d4b9f5e-0000-0000-0000-000000000000}",
        "x-request-uuid": "{id}",
        "x-attempt-number": "1",
        "user-agent": "Bitbucket-Webhooks/2.0",
    },
    examples={
        "repo:push": Example(
            '{"push": {"changes": [{"new": {"type": "branch", "name": "main"}, "closed": false}]}, '
            '"repository": {"type": "repository", "full_name": "team/repo", "uuid": "{673a6070-3421-46c9-9d48}"}, '
            '"actor": {"type": "user", "display_name": "Emma"}}'
        ),
        "pullrequest:created": Example(
            '{"pullrequest": {"id": 1, "title": "Mend the parser", "state": "OPEN", "updated_on": "$time"}, '
            '"repository": {"type": "repository", "full_name": "team/repo", "uuid": "{673a6070-3421-46c9-9d48}"}}'
        ),
    },
    setup=(
        "In the repository's or workspace's settings add a webhook with the source's URL and a secret.",
        "Configure the same secret here.",
    ),
    traps=(
        "A webhook without a secret sends no signature, and its deliveries are refused here.",
        "Request id and event key are unsigned headers: an id is bound to its body, and events say `type_unsigned`.",
        "The header is called X-Hub-Signature and holds a SHA-256 all the same.",
        "A payload of more than 256 KB is not sent at all: fetch what a large push holds.",
    ),
    unsettled=(
        "Whether X-Request-UUID stays the same on an automatic retry is not documented; X-Attempt-Number counts them.",
        "How long it retries is not documented: two more attempts, taken here to be within an hour.",
    ),
    docs="https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
)
