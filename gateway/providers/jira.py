"""Jira Cloud, webhooks of the administration: the body signed by HMAC-SHA256 where a secret is set."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

JIRA = Provider(
    name="jira",
    title="Jira Cloud",
    category="developer",
    schemes=(signed_body("x-hub-signature", prefix="sha256="),),
    shapes=(
        Shape(
            id="header:x-atlassian-webhook-identifier",
            type="json:webhookEvent",
            time="json:timestamp",
            time_unit="ms",
            key="json:issue.id | json:sprint.id | json:version.id | json:project.id",
        ),
    ),
    key_hint="the webhook's secret, shown once when the webhook is made",
    # Up to five attempts, 5 to 15 minutes apart.
    retry_horizon=2 * 3600.0,
    max_body=25 * MiB,
    keep_headers=("x-atlassian-webhook-identifier", "x-atlassian-webhook-retry", "x-atlassian-webhook-flow"),
    sends={"x-atlassian-webhook-identifier": "{id}", "user-agent": "Atlassian Webhook HTTP Client"},
    examples={
        "jira:issue_created": Example(
            '{"timestamp": ${time_s}000, "webhookEvent": "$type", "issue_event_type_name": "issue_created", '
            '"issue": {"id": "10002", "key": "TEST-1", "fields": {"summary": "It breaks", "updated": "$time"}}}'
        ),
        "jira:issue_updated": Example(
            '{"timestamp": ${time_s}000, "webhookEvent": "$type", "issue": {"id": "10002", "key": "TEST-1", '
            '"fields": {"summary": "It breaks"}}, "changelog": {"items": [{"field": "status", "toString": "Done"}]}}'
        ),
    },
    setup=(
        "In Settings > System > WebHooks make a webhook with the source's URL, and generate a secret.",
        "Configure the secret here: Jira shows it once.",
    ),
    traps=(
        "A webhook without a secret sends no signature, and its deliveries are refused here.",
        "The identifier that is the same on every retry is an unsigned header, so an id is bound to its body.",
        "Webhooks of Connect and OAuth apps are signed by a JWT instead: this source refuses them.",
        "After about 30 minutes of failures Jira tries each event only once.",
        "What a bulk change brings along (X-Atlassian-Webhook-Flow: Secondary) may come a quarter of an hour later.",
    ),
    unsettled=("How long Jira waits for an answer.",),
    docs="https://developer.atlassian.com/cloud/jira/platform/webhooks/",
)
