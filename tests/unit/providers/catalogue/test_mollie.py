"""Mollie: signed events of the next generation, and the classic ping that only names what to fetch."""

import msgspec

from gateway.core.admission import Events, Rejected
from gateway.providers.mollie import MOLLIE
from gateway.providers.mollie_classic import MOLLIE_CLASSIC
from tests.admitting import FORM, PLAIN, delivered, request
from tests.provider_shape import OTHER, Known, ProviderShape

EVENT = (
    b'{"resource": "event", "id": "event_GvJ8WHrp5isUdRub9CJyH", "type": "payment-link.paid", "entityId": '
    b'"pl_qng5gbbv8NAZ5gpM5ZYgx", "createdAt": "2024-12-09T14:02:31.0Z", "_links": {}}'
)


class TestMollie(ProviderShape):
    provider = MOLLIE
    known = (
        Known(EVENT, "event_GvJ8WHrp5isUdRub9CJyH", "payment-link.paid", 1_733_752_951_000_000,
              "pl_qng5gbbv8NAZ5gpM5ZYgx"),
    )  # fmt: skip

    def test_either_of_two_signature_headers_is_enough(self) -> None:
        """For a day after the secret was made anew, both sign: the server joins the two headers by a comma."""
        signed, former = (self.sign(self.asking(EVENT), secret) for secret in (PLAIN, OTHER))
        name = "x-mollie-signature"
        both = delivered(former, x_mollie_signature=f"{former.headers[name]}, {signed.headers[name]}")
        twice = msgspec.structs.replace(both, repeated=frozenset({name.encode()}))

        assert isinstance(self.source(PLAIN).admit(twice, self.at_us), Events)
        assert isinstance(self.source(OTHER).admit(twice, self.at_us), Events)
        assert isinstance(self.source("a third secret").admit(twice, self.at_us), Rejected)


class TestMollieClassic(ProviderShape):
    provider = MOLLIE_CLASSIC
    covers = frozenset()
    known = (
        Known(b"id=tr_5B8cwPMGnU6qLbRvo7qEZo", "delivery", "payment", None, "tr_5B8cwPMGnU6qLbRvo7qEZo",
              content_type=FORM, name="payment"),
        Known(b"id=ord_kEn1PlbGa&testByMollie=1", "delivery", "order", None, "ord_kEn1PlbGa", content_type=FORM),
        Known(b"id=new_1", "delivery", "changed", None, "new_1", content_type=FORM, name="another kind"),
    )  # fmt: skip

    def test_the_same_words_on_another_delivery_are_another_event(self) -> None:
        """A payment that is paid and later refunded calls twice with nothing but its id."""
        arrived = delivered(self.genuine())
        later = msgspec.structs.replace(arrived, delivery_id="another")
        found = [self.source().admit(one, self.at_us) for one in (arrived, later)]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 2

    def test_without_a_token_its_events_say_that_nothing_proves_them(self) -> None:
        target = self.source(None)
        admission = target.admit(request(b"id=tr_1", {"content-type": FORM}), self.at_us)

        assert isinstance(admission, Events)
        assert admission.events[0].flags == ("unverified",)
        assert target.verification == "none"
