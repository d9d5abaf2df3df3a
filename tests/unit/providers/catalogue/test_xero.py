"""Xero: the probe of empty batches, and events known by what changed and when."""

from gateway.core.admission import Events, Rejected
from gateway.providers.xero import XERO
from tests.admitting import delivered
from tests.provider_shape import Batch, Known, ProviderShape

CONTACT = (
    b'{"resourceUrl":"https://api.xero.com/api.xro/2.0/Contacts/717f2bfc-c6d4-41fd-b238-3f2f0c0cf777","resourceId":'
    b'"717f2bfc-c6d4-41fd-b238-3f2f0c0cf777","eventDateUtc":"2017-06-21T01:15:39.902","eventType":"Update",'
    b'"eventCategory":"CONTACT","tenantId":"c2cc9b6e-9458-4c7d-93cc-f02b81b0594f","tenantType":"ORGANISATION"}'
)
INVOICE = CONTACT.replace(b"CONTACT", b"INVOICE").replace(b"Update", b"Create")
TENANT, RESOURCE = "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f", "717f2bfc-c6d4-41fd-b238-3f2f0c0cf777"
PROBE = b'{"events":[],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "S0m3r4Nd0mt3xt"}'


def batch(*events: bytes) -> bytes:
    return b'{"events":[' + b",".join(events) + b'],"lastEventSequence":1,"firstEventSequence":1,"entropy":"x"}'


class TestXero(ProviderShape):
    provider = XERO
    known = (
        Known(batch(CONTACT), f"{TENANT}:{RESOURCE}:CONTACT:Update:2017-06-21T01:15:39.902", "CONTACT.Update",
              1_498_007_739_902_000, f"{TENANT}:{RESOURCE}"),
    )  # fmt: skip
    batches = (
        Batch(batch(CONTACT, INVOICE),
              (f"{TENANT}:{RESOURCE}:CONTACT:Update:2017-06-21T01:15:39.902",
               f"{TENANT}:{RESOURCE}:INVOICE:Create:2017-06-21T01:15:39.902"),
              ("CONTACT.Update", "INVOICE.Create"), (CONTACT, INVOICE)),
    )  # fmt: skip

    def test_the_probe_is_accepted_if_it_is_signed_well_and_refused_if_not(self) -> None:
        target, signed = self.source(), self.sign(self.asking(PROBE))

        accepted = target.admit(delivered(signed), self.at_us)
        assert isinstance(accepted, Events)
        assert accepted.events == ()
        assert isinstance(target.admit(delivered(signed, x_xero_signature="A" * 43 + "="), self.at_us), Rejected)

    def test_the_answer_has_no_body(self) -> None:
        ack = self.source().accepted

        assert ack is not None
        assert (ack.status, ack.body) == (200, b"")
