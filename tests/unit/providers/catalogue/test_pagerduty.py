"""PagerDuty V3: a list of signatures over the body; ids in the signed body."""

from gateway.core.admission import Rejected
from gateway.providers.pagerduty import PAGERDUTY
from tests.admitting import delivered, only
from tests.provider_shape import Known, ProviderShape

# From the tests of the provider's Go client, shortened.
INCIDENT = (
    b'{"event": {"id": "01BWDWL3NYY7LUFPZCC28QUCMK", "event_type": "incident.priority_updated", "resource_type": '
    b'"incident", "occurred_at": "2021-04-26T17:36:27.458Z", "agent": null, "data": {"id": "PGR0VU2", "type": '
    b'"incident", "number": 2}}}'
)
NOTE = (
    b'{"event": {"id": "01CHGS32DHWPQAGV0SSZ2NKEUU", "event_type": "incident.annotated", "occurred_at": '
    b'"2021-04-26T17:36:27.458Z", "data": {"id": "PWL7QXS", "type": "incident_note", "incident": {"id": "PGR0VU2"}}}}'
)
PING = b'{"event": {"id": "01CEM2X7NSVJ4Z5YXAPHEMXY6W", "event_type": "pagey.ping", "data": {"message": "Hello"}}}'


class TestPagerduty(ProviderShape):
    provider = PAGERDUTY
    covers = frozenset({"body"})
    known = (
        Known(INCIDENT, "01BWDWL3NYY7LUFPZCC28QUCMK", "incident.priority_updated", 1_619_458_587_458_000, "PGR0VU2"),
        Known(NOTE, "01CHGS32DHWPQAGV0SSZ2NKEUU", "incident.annotated", 1_619_458_587_458_000, "PGR0VU2"),
        Known(PING, "01CEM2X7NSVJ4Z5YXAPHEMXY6W", "pagey.ping"),
    )

    def test_any_entry_of_the_list_is_enough_and_other_versions_do_not_count(self) -> None:
        signed = self.genuine()
        right = signed.headers["x-pagerduty-signature"]

        rotated = delivered(signed, x_pagerduty_signature=f"v1={'0' * 64},{right}")
        later = delivered(signed, x_pagerduty_signature=right.replace("v1=", "v2="))

        assert only(self.admit(self.source(), rotated)).id == "evt_1"
        assert isinstance(self.admit(self.source(), later), Rejected)
