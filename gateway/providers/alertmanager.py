"""Prometheus Alertmanager: nothing signed; a token, Basic credentials or a bearer token of the operator's."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import any_authorization


def alert(status: str) -> Example:
    """Return a notification of one alert."""
    return Example(
        '{"version": "4", "groupKey": "{}:{alertname=\\"Test\\"}", "truncatedAlerts": 0, "status": "' + status + '", '
        '"receiver": "gateway", "groupLabels": {"alertname": "Test"}, "commonLabels": {"alertname": "Test"}, '
        '"commonAnnotations": {}, "externalURL": "http://alertmanager.example.com", "alerts": [{"status": "' + status
        + '", "labels": {"alertname": "Test", "instance": "$id"}, "annotations": {"summary": "Test"}, "startsAt": '
        '"$time", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "test"}]}'
    )  # fmt: skip


ALERTMANAGER = Provider(
    name="alertmanager",
    title="Prometheus Alertmanager",
    category="developer",
    schemes=any_authorization(),
    shapes=(
        Shape(
            # A reminder is the first notification once more, word for word.
            id="delivery:id",
            type="json:status",
            time="json:alerts[0].startsAt",
            key="json:groupKey",
        ),
    ),
    key_hint="a secret of your own: the credentials of http_config's authorization, its basic_auth as user:password, "
    "or ?token=SECRET in the URL",
    secrets="optional",
    # It gives up at the next notification of the group: after group_interval (5 minutes by default), and 10 s at least.
    timeout=10.0,
    retry_horizon=300.0,
    max_body=4 * MiB,
    sends={"user-agent": "Alertmanager/0.28.0"},
    examples={"firing": alert("firing"), "resolved": alert("resolved")},
    setup=(
        "Make up a long secret and configure it here.",
        "In alertmanager.yml add a receiver with webhook_configs and the source's url.",
        "Give it http_config with authorization, whose credentials_file holds the secret.",
    ),
    traps=(
        "Nothing is signed: only HTTPS and the secret keep what is sent.",
        "Reminders (repeat_interval) read as the first notification, so each delivery counts by itself, a retry too.",
        "One notification holds all alerts of a group, firing and resolved ones: its status is resolved if all are.",
        "Only 5xx and failed connections are tried again, until the next notification of the group.",
        "Two Alertmanagers of a cluster may both notify.",
    ),
    docs="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
)
