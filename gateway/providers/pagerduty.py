"""PagerDuty V3 webhooks: the body signed, in a list that is longer while a secret is rotated."""

from gateway.core.provider import DAY, Example, Mac, Provider, Scheme, Shape


def _example(data: str) -> Example:
    return Example(
        '{"event": {"id": "$id", "event_type": "$type", "resource_type": "incident", "occurred_at": "$time", '
        '"agent": {"id": "PLH1HKV", "type": "user_reference", "summary": "Tenex Engineer"}, "client": null, "data": '
        + data + "}}"
    )  # fmt: skip


PAGERDUTY = Provider(
    name="pagerduty",
    title="PagerDuty",
    category="developer",
    schemes=(Scheme(header="x-pagerduty-signature", split=",", macs=(Mac(prefix="v1="),)),),
    shapes=(
        Shape(
            # Signed, unlike X-Webhook-Id.
            id="json:event.id",
            type="json:event.event_type",
            time="json:event.occurred_at",
            key="json:event.data.incident.id | json:event.data.id",
        ),
    ),
    key_hint="the subscription's secret, shown once when it is created; used as it stands",
    timeout=5.0,
    retry_horizon=2 * DAY,
    keep_headers=("x-webhook-id", "x-webhook-subscription"),
    sends={"x-webhook-id": "{id}", "user-agent": "PagerDuty-Webhook/V3.0"},
    examples={
        "incident.triggered": _example('{"id": "PGR0VU2", "type": "incident", "number": 2, "status": "triggered"}'),
        "incident.annotated": _example(
            '{"id": "PWL7QXS", "type": "incident_note", "incident": {"id": "PGR0VU2"}, "content": "Test"}'
        ),
    },
    setup=(
        "Under Integrations > Generic Webhooks (v3) add a webhook with the source's URL and choose its events.",
        "Configure the secret that is shown once.",
        "Send Test Event sends one of the type pagey.ping.",
    ),
    traps=(
        "The secret looks like base64 and is none.",
        "The header is a list: any v1 entry that matches is enough.",
        "A refusal (4xx) is final, and three of them in a row disable the webhook for a day.",
        "While one event of an incident is tried again, its later ones wait.",
        "V2 extensions sign nothing and are refused here.",
    ),
    docs="https://developer.pagerduty.com/docs/verifying-signatures",
)
