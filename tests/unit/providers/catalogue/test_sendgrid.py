"""SendGrid: ECDSA over timestamp and body, CRLF included; batches whose elements come again."""

from dataclasses import replace

from gateway.core.admission import Rejected
from gateway.providers.sendgrid import SENDGRID
from tests.admitting import delivered, events
from tests.keys import P256, other_p256
from tests.provider_shape import Batch, Known, ProviderShape

DROPPED = (
    b'{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":'
    b'"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":'
    b'"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","timestamp":1600112492}'
)
OPEN = b'{"email":"a@b.c", "event":"open", "timestamp":1600112500, "sg_event_id":"open-1", "sg_message_id":"m.filter"}'


class TestSendGrid(ProviderShape):
    provider = SENDGRID
    secret = P256
    other = other_p256()
    covers = frozenset({"body", "x-twilio-email-event-webhook-timestamp"})
    known = (
        Known(b"[" + DROPPED + b"]\r\n", "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA", "dropped",
              1_600_112_492_000_000, "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0"),
    )  # fmt: skip
    batches = (
        Batch(
            b"[" + DROPPED + b",\r\n" + OPEN + b"]\r\n",
            ("ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA", "open-1"),
            ("dropped", "open"),
            (DROPPED, OPEN),
        ),
    )

    def test_a_body_without_its_last_line_break_is_refused(self) -> None:
        signed = self.genuine()
        assert signed.body.endswith(b"\r\n")

        trimmed = self.admit(self.source(), delivered(signed, body=signed.body.rstrip()))

        assert isinstance(trimmed, Rejected)

    def test_the_same_event_in_another_batch_is_a_duplicate(self) -> None:
        alone, together = (
            self.admit(self.source(), self.signed_body(body, "application/json", b"", {}))
            for body in (b"[" + OPEN + b"]", b"[" + OPEN.replace(b", ", b",") + b"," + DROPPED + b"]")
        )

        assert events(alone)[0].dedupe_key == events(together)[0].dedupe_key

    def test_an_empty_batch_is_acknowledged_with_nothing_in_it(self) -> None:
        signed = self.sign(replace(self.example(), body=b"[]\r\n"))

        assert events(self.admit(self.source(), delivered(signed))) == ()
