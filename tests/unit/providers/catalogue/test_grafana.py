"""Grafana: three ways to prove a notification."""

import hashlib
import hmac

import pytest

from gateway.core.admission import Events, Rejected
from gateway.providers.grafana import GRAFANA
from tests.admitting import NOW, PLAIN, reason, request
from tests.provider_breaks import with_authorization
from tests.provider_shape import Known, ProviderShape

# From "Configure webhook notifications", shortened.
BODY = (
    b'{"receiver": "My Super Webhook", "status": "firing", "orgId": 1, "alerts": [{"status": "firing", "labels": '
    b'{"alertname": "High memory usage"}, "startsAt": "2021-10-12T09:51:03.157076+02:00", "fingerprint": '
    b'"c6eadffa33fcdf37"}], "groupKey": "{}:{alertname=\\"High memory usage\\"}", "version": "1", "state": "alerting"}'
)
TIMED = str(NOW).encode() + b":" + BODY


def _digest(message: bytes) -> str:
    return hmac.new(PLAIN.encode(), message, hashlib.sha256).hexdigest()


class TestGrafana(ProviderShape):
    provider = GRAFANA
    covers = frozenset()
    known = (Known(BODY, "delivery", "firing", 1_634_025_063_157_076, '{}:{alertname="High memory usage"}'),)
    breaks = with_authorization()

    @pytest.mark.parametrize(
        "body, headers, taken",
        [
            (BODY, {"x-grafana-alerting-signature": _digest(BODY)}, True),
            (BODY + b" ", {"x-grafana-alerting-signature": _digest(BODY)}, False),
            (BODY, {"x-grafana-alerting-signature": _digest(TIMED), "x-grafana-alerting-timestamp": str(NOW)}, True),
            (BODY, {"x-grafana-alerting-signature": _digest(TIMED), "x-grafana-alerting-timestamp": "1"}, False),
            (BODY, {"x-grafana-alerting-signature": _digest(BODY), "x-grafana-alerting-timestamp": str(NOW)}, False),
            (BODY, {"x-grafana-alerting-signature": _digest(TIMED)}, False),
            (BODY, {"x-grafana-alerting-signature": "", "authorization": f"Bearer {PLAIN}"}, False),
            (BODY, {"authorization": f"Bearer {PLAIN}"}, True),
        ],
    )
    def test_each_way_to_prove_it_stands_alone(self, body: bytes, headers: dict[str, str], taken: object) -> None:
        assert isinstance(self.admit(self.source(), request(body, headers)), Events) is taken

    def test_a_delivery_with_a_time_cannot_be_sent_again_as_one_without(self) -> None:
        arrived = request(TIMED, {"x-grafana-alerting-signature": _digest(TIMED)})

        assert reason(self.admit(self.source(), arrived)) == "signature_malformed"

    def test_a_stale_time_is_refused(self) -> None:
        old = b"%d:" % (NOW - 301) + BODY
        headers = {"x-grafana-alerting-signature": _digest(old), "x-grafana-alerting-timestamp": str(NOW - 301)}

        assert self.admit(self.source(), request(BODY, headers)) == Rejected("timestamp_stale", 301.0)
