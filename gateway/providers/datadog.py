"""Datadog webhooks: a body of the operator's own making, and a token in a header or the URL."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import any_authorization

DATADOG = Provider(
    name="datadog",
    title="Datadog",
    category="developer",
    schemes=any_authorization(),
    shapes=(
        Shape(
            id="json:id | json:event_id | delivery:id",
            type="json:alert_transition | json:event_type",
            time="json:date | json:last_updated",
            time_unit="ms",
            key="json:alert_cycle_key | json:aggreg_key | json:alert_id",
        ),
    ),
    key_hint="a secret of your own: Authorization: Bearer SECRET in the webhook's custom headers, or user:password@ "
    "or ?token=SECRET in its URL",
    secrets="optional",
    timeout=15.0,
    retry_horizon=3_600.0,
    sends={"user-agent": "Datadog/webhooks"},
    examples={
        "error": Example(
            '{"body": "%%%\\nTest\\n%%%", "last_updated": "${time_s}000", "event_type": "query_alert_monitor", '
            '"title": "[Triggered] Test", "date": "${time_s}000", "org": {"id": "1", "name": "test"}, "id": "$id", '
            '"alert_id": "1234", "alert_transition": "$type"}'
        ),
    },
    setup=(
        "Make up a long secret and configure it here.",
        "In the Webhooks integration add a webhook with the source's URL.",
        'Under its custom headers write {"Authorization": "Bearer SECRET"}.',
        "Have its payload hold id, alert_id, alert_transition and alert_cycle_key, from the variables of those names.",
        "Name it in a monitor's message: @webhook-NAME.",
    ),
    traps=(
        "Datadog signs nothing: the secret is all.",
        "The payload is yours to write: without an id each delivery, each retry too, counts by itself.",
        "Only 5xx and failed connections are tried again.",
        "A renotification of a monitor has an id of its own.",
    ),
    unsettled=("Over how long the 5 retries are spread (an hour is assumed).",),
    docs="https://docs.datadoghq.com/integrations/webhooks/",
)
