"""Postmark: Basic credentials, or a token in the URL; nothing signed."""

import hashlib

from gateway.providers.postmark import POSTMARK
from tests.admitting import only, reason, request
from tests.provider_shape import Known, ProviderShape

DELIVERY = (
    b'{"MessageID": "883953f4-6105-42a2-a16a-77a8eac79483", "Recipient": "john@example.com", "DeliveredAt": '
    b'"2019-11-05T16:33:54.9070259Z", "Details": "Test delivery webhook details", "Tag": "welcome-email", '
    b'"ServerID": 23, '
    b'"RecordType": "Delivery", "MessageStream": "outbound"}'
)
INBOUND = (
    b'{"FromName": "Postmarkapp Support", "MessageStream": "inbound", "From": "support@postmarkapp.com", "MessageID": '
    b'"73e6d360-66eb-11e1-8e72-a8904824019b", "Date": "Fri, 1 Aug 2014 16:45:32 -04:00", "TextBody": "Hello"}'
)
BASIC = {"authorization": "Basic aG9vazpwOnc="}


class TestPostmark(ProviderShape):
    provider = POSTMARK
    secret = "hook:p:w"
    other = "hook:other"
    covers = frozenset()
    known = (
        Known(DELIVERY, "Delivery:883953f4-6105-42a2-a16a-77a8eac79483:sha256:" + hashlib.sha256(DELIVERY).hexdigest(),
              "Delivery", 1_572_971_634_907_025, "883953f4-6105-42a2-a16a-77a8eac79483"),
        Known(INBOUND, "73e6d360-66eb-11e1-8e72-a8904824019b", "Inbound", None, "support@postmarkapp.com"),
    )  # fmt: skip

    def test_basic_credentials_admit(self) -> None:
        """A password may hold a colon."""
        assert only(self.admit(self.source(), request(DELIVERY, BASIC))).type == "Delivery"
        assert reason(self.admit(self.source(self.other), request(DELIVERY, BASIC))) == "signature_mismatch"

    def test_without_a_secret_an_event_says_that_nothing_proved_it(self) -> None:
        target = self.source(None, allow_unverified=True)

        assert "unverified" in only(self.admit(target, request(DELIVERY))).flags
