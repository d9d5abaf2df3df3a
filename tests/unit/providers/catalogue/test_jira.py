"""Jira Cloud: an identifier in an unsigned header, all else in the body."""

from gateway.providers.jira import JIRA
from tests.provider_shape import Known, ProviderShape


class TestJira(ProviderShape):
    provider = JIRA
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"timestamp": 1700000000123, "webhookEvent": "jira:issue_updated", "issue": {"id": "10002"}}',
            "f2f7d2d9",
            "jira:issue_updated",
            1_700_000_000_123_000,
            "10002",
            headers={"x-atlassian-webhook-identifier": "f2f7d2d9"},
        ),
    )
