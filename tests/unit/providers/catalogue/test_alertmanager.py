"""Alertmanager: groups of alerts; reminders are no duplicates."""

import base64

import msgspec
import pytest

from gateway.core.admission import Rejected
from gateway.providers.alertmanager import ALERTMANAGER
from tests.admitting import only, request
from tests.provider_breaks import with_authorization
from tests.provider_shape import Known, ProviderShape

# From "Configuration", webhook_config, with values.
BODY = (
    b'{"version": "4", "groupKey": "{}:{alertname=\\"Disk\\"}", "truncatedAlerts": 0, "status": "firing", "receiver": '
    b'"hooks", "groupLabels": {"alertname": "Disk"}, "alerts": [{"status": "firing", "labels": {"alertname": "Disk"}, '
    b'"startsAt": "2023-11-14T22:13:20.5Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "ca3b5a8f0f4d4b11"}]}'
)


class TestAlertmanager(ProviderShape):
    provider = ALERTMANAGER
    covers = frozenset()
    known = (Known(BODY, "delivery", "firing", 1_700_000_000_500_000, '{}:{alertname="Disk"}'),)
    breaks = with_authorization()

    @pytest.mark.parametrize(
        "authorization, taken",
        [
            ("Bearer user:password", True),
            ("Basic " + base64.b64encode(b"user:password").decode(), True),
            ("Basic " + base64.b64encode(b"user:other").decode(), False),
            ("Basic user:password", False),
            ("user:password", False),
        ],
    )
    def test_credentials_count_in_either_form(self, authorization: str, taken: object) -> None:
        admission = self.admit(self.source("user:password"), request(BODY, {"authorization": authorization}))

        assert isinstance(admission, Rejected) is not taken

    def test_a_reminder_is_an_event_of_its_own(self) -> None:
        first = self.signed_body(BODY, "application/json", b"", {})
        reminder = msgspec.structs.replace(first, delivery_id="another")

        keys = {only(self.admit(self.source(), each)).dedupe_key for each in (first, reminder)}

        assert len(keys) == 2
