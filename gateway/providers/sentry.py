"""Sentry's integration platform: the body signed with the integration's client secret. It waits for one second."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _example(action: str, data: str) -> Example:
    return Example(
        '{"action": "' + action + '", "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"}, "data": '
        + data + ', "actor": {"type": "application", "id": "sentry", "name": "Sentry"}}'
    )  # fmt: skip


_ISSUE = '{"issue": {"id": "1170820242", "shortId": "TEST-1", "title": "Error: $id", "status": "unresolved"}}'

SENTRY = Provider(
    name="sentry",
    title="Sentry",
    category="developer",
    schemes=(signed_body("sentry-hook-signature"),),
    shapes=(
        Shape(
            id="header:request-id",
            type="header:sentry-hook-resource + '.' + json:action | header:sentry-hook-resource | json:action",
            time="header:sentry-hook-timestamp",
            key="json:data.issue.id | json:data.event.issue_id | json:data.error.issue_id | json:data.issue_id | "
            "json:data.metric_alert.id | json:data.installation.uuid | json:installation.uuid",
        ),
    ),
    key_hint="the integration's client secret, under Settings > Developer Settings",
    timeout=1.0,
    retry_horizon=3_600.0,
    # Error events carry the whole event.
    max_body=4 * MiB,
    keep_headers=("request-id", "sentry-hook-resource", "sentry-hook-timestamp"),
    sends={"request-id": "{id}", "sentry-hook-resource": "{event}"},
    examples={
        "issue.created": _example("created", _ISSUE),
        "issue.resolved": _example("resolved", _ISSUE),
        "event_alert.triggered": _example(
            "triggered",
            '{"event": {"event_id": "e4874d664c3540c1a32eab185f12c5ab", "issue_id": "1170820242", "title": "$id"}, '
            '"triggered_rule": "test"}',
        ),
    },
    setup=(
        "Under Settings > Developer Settings create an internal integration with the source's URL as webhook URL.",
        "Choose its events, and switch on Alert Rule Action for alerts.",
        "Configure its client secret.",
    ),
    traps=(
        "Sentry waits for one second; 1000 timeouts in a day end the subscription.",
        "What is not answered is mostly not sent again, so the gateway should always be up.",
        "Resource, id and time stand in headers that nothing signs; the body's action is signed.",
        "The old service hooks and the WebHooks plugin are other products: the plugin signs nothing.",
    ),
    unsettled=("Which kinds of events are tried again, and then under another Request-ID.",),
    docs="https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
)
