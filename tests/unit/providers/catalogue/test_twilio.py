"""Twilio: forms by URL and fields, Event Streams by the body's digest in the signed URL. More: `test_twilio`."""

from dataclasses import replace
from typing import Any, ClassVar

from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.twilio import TWILIO
from tests.admitting import FORM
from tests.provider_shape import Batch, Known, ProviderShape

TEST = (
    b'{"specversion": "1.0", "type": "com.twilio.eventstreams.test-event", "source": "Sink", "id": '
    b'"AC11111111111111111111111111111111", "dataschema": '
    b'"https://events-schemas.twilio.com/EventStreams.TestSink/1.json", '
    b'"datacontenttype": "application/json", "time": "2026-06-10T06:02:54.377Z", "data": {"test_id": "cae2f9e2"}}'
)
SENT = (
    b'{"specversion": "1.0", "type": "com.twilio.messaging.message.sent", "source": '
    b'"/2010-04-01/Accounts/AC1/Messages/SM1",'
    b' "id": "EZ1", "time": "2026-06-10T06:02:55Z", "data": {"messageSid": "SM1"}}'
)


def _without_digest(signed: SignedRequest) -> SignedRequest:
    return replace(signed, query=b"")


class TestTwilioForms(ProviderShape):
    provider = TWILIO
    covers = frozenset({"body", "query"})
    known = (
        Known(b"MessageSid=SM1&MessageStatus=sent&AccountSid=AC1", "SM1:sent", "message.sent", None, "SM1",
              content_type=FORM),
        Known(b"[" + TEST + b"]", "AC11111111111111111111111111111111", "com.twilio.eventstreams.test-event",
              1_781_071_374_377_000, "Sink"),
    )  # fmt: skip
    batches = (
        Batch(
            b"[" + TEST + b", " + SENT + b"]",
            ("AC11111111111111111111111111111111", "EZ1"),
            ("com.twilio.eventstreams.test-event", "com.twilio.messaging.message.sent"),
            (TEST, SENT),
        ),
    )


class TestTwilioEventStreams(TestTwilioForms):
    breaks: ClassVar[Any] = {"no digest in the URL": _without_digest}

    def example(self, event_type: str | None = None, **over: Any) -> SignRequest:
        return super().example(event_type or "com.twilio.messaging.message.delivered", **over)
