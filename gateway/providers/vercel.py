"""Vercel: the body signed with SHA-1 under the webhook's or the integration's secret."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body


def _deployment(url: str) -> Example:
    return Example(
        '{"type": "$type", "id": "$id", "createdAt": ${time_s}000, "region": "sfo1", "payload": {"team": {"id": '
        '"team_test"}, "user": {"id": "test"}, "deployment": {"id": "dpl_test", "name": "test", "url": "' + url
        + '", "meta": {}}, "project": {"id": "prj_test"}, "target": "production"}}'
    )  # fmt: skip


VERCEL = Provider(
    name="vercel",
    title="Vercel",
    category="developer",
    schemes=(signed_body("x-vercel-signature", algorithm="hmac-sha1"),),
    shapes=(
        Shape(
            id="json:id",
            type="json:type",
            time="json:createdAt",
            time_unit="ms",
            key="json:payload.deployment.id | json:payload.project.id | json:payload.team.id",
        ),
    ),
    key_hint="the webhook's secret, shown once; of an integration its client secret",
    retry_horizon=DAY,
    examples={
        "deployment.created": _deployment("test.vercel.app"),
        "deployment.succeeded": _deployment("test.vercel.app"),
    },
    setup=(
        "Under the team's Settings > Webhooks create a webhook with the source's URL and choose events and projects.",
        "Configure its secret; it is shown once. An integration's webhooks are signed with its client secret.",
    ),
    traps=(
        "The signature is SHA-1, 40 digits, without a prefix.",
        "Account webhooks and integrations sign with different secrets: configure both if both send here.",
        "Log drains are another product, and signed likewise with a secret of their own.",
    ),
    unsettled=(
        "For how long Vercel tries again (24 hours are assumed).",
        "After how long it gives up on an answer.",
    ),
    docs="https://vercel.com/docs/webhooks/webhooks-api",
)
