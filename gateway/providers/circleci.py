"""CircleCI: the body signed, in a list of versions."""

from gateway.core.provider import Example, Mac, Provider, Scheme, Shape

_BODY = (
    '{"type": "$type", "id": "$id", "happened_at": "$time", "webhook": {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9", '
    '"name": "Sample Webhook"}, "project": {"id": "84996744-a854-4f5e-aea3-04e2851dc1d2", "name": "webhook-service", '
    '"slug": "github/circleci/webhook-service"}, "organization": {"id": "f22b6566-597d-46d5-ba74-99ef5bb3d85c", '
    '"name": "circleci"}, "workflow": {"id": "fda08377-fe7e-46b1-8992-3a7aaecac9c3", "name": "build", '
    '"status": "success", "created_at": "$time", "stopped_at": "$time"}, "pipeline": {"id": '
    '"1285fe1d-d3a6-44fc-8886-8979558254c4", "number": 130}}'
)

CIRCLECI = Provider(
    name="circleci",
    title="CircleCI",
    category="developer",
    schemes=(Scheme(header="circleci-signature", split=",", macs=(Mac(prefix="v1="),)),),
    shapes=(
        Shape(
            id="json:id",
            type="json:type",
            time="json:happened_at",
            key="json:workflow.id | json:pipeline.id | json:project.id",
        ),
    ),
    key_hint="the webhook's secret token, as you typed it",
    timeout=10.0,
    retry_horizon=86_400.0,
    keep_headers=("circleci-event-type",),
    sends={"circleci-event-type": "{type}", "user-agent": "CircleCI-Webhook/1.0"},
    examples={"workflow-completed": Example(_BODY), "job-completed": Example(_BODY)},
    setup=(
        "Make up a long secret and configure it here.",
        "Under Project Settings > Webhooks add the source's URL with the secret as secret token, and choose events.",
        "Test ping event sends a delivery of the type ping.",
    ),
    traps=(
        "Without a secret token nothing is signed, and everything refused here.",
        "The header is a list: other versions than v1 do not count.",
        "Duplicates happen: the id is the same then.",
    ),
    unsettled=("For how long deliveries are tried again (a day is assumed).",),
    docs="https://circleci.com/docs/outbound-webhooks/",
)
