"""Linear: the time of sending stands in the signed body, in milliseconds, and changes with each attempt."""

import pytest

from gateway.core.admission import Events
from gateway.providers.linear import LINEAR
from tests.admitting import JSON, NOW_US, SECOND
from tests.provider_shape import Known, ProviderShape

CREATED = (
    b'{"action": "create", "type": "Issue", "createdAt": "2023-11-14T22:13:20.000Z", "webhookId": "w1", '
    b'"data": {"id": "2174add1"}, "webhookTimestamp": 1700000000000}'
)
AGENT = (
    b'{"type": "AgentSessionEvent", "action": "created", "createdAt": "2023-11-14T22:13:20.000Z", "webhookId": "w1", '
    b'"agentSession": {"id": "s1"}, "webhookTimestamp": 1700000000000}'
)
CREATED_ID = "w1:Issue:create:2174add1:2023-11-14T22:13:20.000Z"


class TestLinear(ProviderShape):
    provider = LINEAR
    covers = frozenset({"body"})
    known = (
        Known(
            CREATED,
            CREATED_ID,
            "Issue.create",
            1_700_000_000_000_000,
            "2174add1",
            headers={"linear-delivery": "234d1a4e"},
        ),
        Known(
            b'{"type": "OAuthApp", "action": "revoked", "createdAt": "2023-11-14T22:13:20.000Z", '
            b'"organizationId": "o1", "webhookTimestamp": 1700000000000}',
            "234d1a4e",
            "OAuthApp.revoked",
            key="o1",
            headers={"linear-delivery": "234d1a4e"},
            name="nothing of its own",
        ),
        Known(
            b'{"type": "AgentSessionEvent", "action": "prompted", "createdAt": "2023-11-14T22:13:20.000Z", '
            b'"webhookId": "w1", "agentSession": {"id": "s1"}, "agentActivity": {"id": "a1"}, '
            b'"webhookTimestamp": 1700000000000}',
            "w1:AgentSessionEvent:prompted:a1:2023-11-14T22:13:20.000Z",
            "AgentSessionEvent.prompted",
            key="s1",
            name="a prompt",
        ),
        Known(
            AGENT,
            "w1:AgentSessionEvent:created:s1:2023-11-14T22:13:20.000Z",
            "AgentSessionEvent.created",
            key="s1",
            name="a session",
        ),
        Known(
            b'{"type": "IssueSLA", "action": "breached", "createdAt": "2023-11-14T22:13:20.000Z", "webhookId": "w1", '
            b'"issueData": {"id": "i1"}, "webhookTimestamp": 1700000000000}',
            "w1:IssueSLA:breached:i1:2023-11-14T22:13:20.000Z",
            "IssueSLA.breached",
            key="i1",
            name="a deadline",
        ),
    )

    @pytest.mark.parametrize("body", [CREATED, AGENT], ids=["issue", "agent"])
    def test_an_attempt_that_was_sent_later_is_the_same_event(self, body: bytes) -> None:
        later = body.replace(b"1700000000000", b"1700003600000")
        first = self.admit(self.source(), self.signed_body(body, JSON, b"", {"linear-delivery": "a"}))
        again = self.admit(
            self.source(), self.signed_body(later, JSON, b"", {"linear-delivery": "b"}), NOW_US + 3600 * SECOND
        )

        assert isinstance(first, Events)
        assert isinstance(again, Events)
        assert first.events[0].dedupe_key == again.events[0].dedupe_key

    def test_a_late_attempt_with_the_first_time_is_taken_too(self) -> None:
        arrived = self.signed_body(CREATED, JSON, b"", {})

        assert isinstance(self.admit(self.source(), arrived, NOW_US + 7 * 3600 * SECOND), Events)
