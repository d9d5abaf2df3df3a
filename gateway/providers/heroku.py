"""Heroku app webhooks: the body signed by HMAC-SHA256, in base64."""

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _event(resource: str, data: str) -> Example:
    return Example(
        '{"id": "$id", "action": "create", "resource": "' + resource + '", "data": {"id": "test", ' + data + ', "app": '
        '{"id": "01234567-89ab", "name": "example"}}, "actor": {"email": "test@example.com"}, "created_at": "$time", '
        '"published_at": "$time", "webhook_metadata": {"attempt": {"id": "a1"}, "delivery": {"id": "d1"}, '
        '"event": {"id": "$id", "include": "api:' + resource + '"}, "webhook": {"id": "w1"}}}'
    )


HEROKU = Provider(
    name="heroku",
    title="Heroku",
    category="developer",
    schemes=(signed_body("heroku-webhook-hmac-sha256", encoding="base64"),),
    shapes=(
        Shape(
            id="json:webhook_metadata.webhook.id + ':' + json:webhook_metadata.event.id | json:id",
            type="json:resource + '.' + json:action | json:resource",
            time="json:published_at | json:created_at",
            key="json:data.app.id | json:data.id",
        ),
    ),
    key_hint="the webhook's secret, given or shown when it was made",
    # `webhook_metadata.attempt` tells the attempt.
    body_varies=True,
    retry_horizon=3 * DAY,
    max_body=4 * MiB,
    examples={
        "release.create": _event("release", '"version": 42, "status": "succeeded"'),
        "build.create": _event("build", '"status": "pending"'),
    },
    setup=(
        "heroku webhooks:add -i api:release -l sync -u URL -a APP, with the source's URL; keep the secret it shows.",
        "Configure the secret here.",
    ),
    traps=(
        "A webhook of level notify is tried once only: use level sync.",
        "Its Authorization header is another, optional setting, and is not looked at.",
    ),
    unsettled=("For how long Heroku retries, and how long it waits for an answer.",),
    docs="https://devcenter.heroku.com/articles/app-webhooks",
)
