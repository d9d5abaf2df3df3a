"""GoCardless: a batch of events, each with its id."""

from gateway.core.admission import Events
from gateway.providers.gocardless import GOCARDLESS
from tests.admitting import delivered
from tests.provider_shape import Batch, Known, ProviderShape

PAYMENT = (
    b'{"id": "EV123", "created_at": "2014-08-04T12:00:00.000Z", "action": "confirmed", "resource_type": "payments", '
    b'"links": {"payment": "PM123"}}'
)
MANDATE = (
    b'{"id": "EV124", "created_at": "2014-08-04T12:00:01.000Z", "action": "cancelled", "resource_type": "mandates", '
    b'"links": {"mandate": "MD123", "organisation": "OR123"}}'
)
META = b'"meta": {"webhook_id": "WB123"}'


class TestGoCardless(ProviderShape):
    provider = GOCARDLESS
    known = (
        Known(b'{"events": [' + PAYMENT + b"], " + META + b"}", "EV123", "payments.confirmed", 1_407_153_600_000_000,
              "PM123"),
    )  # fmt: skip
    batches = (
        Batch(b'{"events": [' + PAYMENT + b", " + MANDATE + b"], " + META + b"}", ("EV123", "EV124"),
              ("payments.confirmed", "mandates.cancelled"), (PAYMENT, MANDATE)),
    )  # fmt: skip

    def test_its_events_tell_the_webhook_that_brought_them(self) -> None:
        signed = self.sign(self.asking(self.batches[0].body))
        admission = self.admit(self.source(), delivered(signed))

        assert isinstance(admission, Events)
        assert [event.headers["gocardless-webhook-id"] for event in admission.events] == ["WB123", "WB123"]
