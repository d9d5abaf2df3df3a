"""Grafana Alerting: the body signed if an HMAC secret is set (12.0 and later), else a token of the operator's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import Example, Mac, Message, MessageRule, Scheme, Terms, Timestamp
from gateway.providers.alertmanager import ALERTMANAGER, alert
from gateway.providers.families import any_authorization

_SIGNATURE, _STAMP = "x-grafana-alerting-signature", "x-grafana-alerting-timestamp"


def _stamped(headers: Mapping[bytes, bytes]) -> bool:
    return _SIGNATURE.encode() in headers and _STAMP.encode() in headers


def _body_alone(_terms: Terms) -> MessageRule:
    """Sign the body alone; but never one that could be a time and a body, signed together for another delivery."""

    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        return [(request.body,)] if request.body.startswith(b"{") else "signature_malformed"

    return messages


def _example(status: str) -> Example:
    notification = alert(status).body.replace('"version": "4"', '"version": "1", "orgId": 1, "title": "[TEST]"')
    return Example(notification.replace("http://alertmanager", "http://grafana"))


GRAFANA = replace(
    ALERTMANAGER,
    name="grafana",
    title="Grafana Alerting",
    schemes=(
        Scheme(
            header=_SIGNATURE,
            when=_stamped,
            message=("timestamp", ":", "body"),
            timestamp=Timestamp(header=_STAMP),
            macs=(Mac(),),
        ),
        Scheme(header=_SIGNATURE, when=_SIGNATURE, rule=_body_alone, covers=("body",), macs=(Mac(),)),
        *any_authorization(),
    ),
    key_hint="the contact point's HMAC secret; or a secret of your own, in its authorization header, as user:password "
    "of its basic authentication, or behind ?token= in the URL",
    # Its HTTP client's, in pkg/services/notifications.
    timeout=30.0,
    methods=("POST", "PUT"),
    sends={"user-agent": "Grafana"},
    examples={"firing": _example("firing"), "resolved": _example("resolved")},
    setup=(
        "Make up a long secret and configure it here.",
        "Under Alerting > Contact points add a webhook with the source's URL.",
        "From Grafana 12.0 set its HMAC secret, and X-Grafana-Alerting-Timestamp as the timestamp header.",
        "On older versions set the authorization header's credentials instead.",
    ),
    traps=(
        "Without an HMAC secret nothing is signed: only HTTPS and the secret keep what is sent.",
        "The headers' names are free text there: write them as above, or no signature is found.",
        "Reminders read as the first notification, so each delivery counts by itself, a retry too.",
        "One notification holds all alerts of a group, firing and resolved ones.",
    ),
    docs="https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/"
    "integrations/webhook-notifier/",
)
