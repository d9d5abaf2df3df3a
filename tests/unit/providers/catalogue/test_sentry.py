"""Sentry: the body signed, all else in headers; one second to answer."""

from gateway.providers.sentry import SENTRY
from tests.provider_shape import Known, ProviderShape

# From "Issues" and "Issue alerts" of the webhooks' pages, shortened.
ISSUE = (
    b'{"action": "resolved", "installation": {"uuid": "a8e5d37a-696c-4c54-adb5-b3f28d64c7de"}, "data": {"issue": '
    b'{"id": "1170820242", "status": "resolved"}}, "actor": {"type": "user", "id": 1}}'
)
ALERT = (
    b'{"action": "triggered", "actor": {"id": "sentry", "type": "application"}, "data": {"event": {"event_id": "e48", '
    b'"issue_id": "1170820242"}, "triggered_rule": "Very Important Alert Rule!"}, "installation": {"uuid": "a8e5"}}'
)
HEADERS = {"request-id": "2f4a8a1e0d3f4c0f8f0b7a3d1b2c3d4e", "sentry-hook-timestamp": "1700000000"}


class TestSentry(ProviderShape):
    provider = SENTRY
    covers = frozenset({"body"})
    known = (
        Known(ISSUE, "2f4a8a1e0d3f4c0f8f0b7a3d1b2c3d4e", "issue.resolved", 1_700_000_000_000_000, "1170820242",
              headers={**HEADERS, "sentry-hook-resource": "issue"}, flags=("type_unsigned",)),
        Known(ALERT, "2f4a8a1e0d3f4c0f8f0b7a3d1b2c3d4e", "event_alert.triggered", None, "1170820242",
              headers={**HEADERS, "sentry-hook-resource": "event_alert"}),
    )  # fmt: skip

    def test_its_answer_is_due_within_half_a_second(self) -> None:
        assert self.source().deadline == 0.5
