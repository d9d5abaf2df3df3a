"""Recurly: a bare list whose first entry is the time in milliseconds."""

from gateway.core.admission import Events, Rejected
from gateway.providers.recurly import RECURLY
from tests.admitting import PLAIN, delivered
from tests.provider_shape import OTHER, Known, ProviderShape

EVENT = (
    b'{"id":"ra8foq26o2dt","object_type":"subscription","site_id":"qc326l1hl8k9","event_type":"created",'
    b'"event_time":"2022-07-26T22:01:56Z","uuid":"63ab531e1d5b1d47eaf1ef44eeb853c3"}'
)


class TestRecurly(ProviderShape):
    provider = RECURLY
    known = (
        Known(EVENT, "subscription.created:ra8foq26o2dt:2022-07-26T22:01:56Z", "subscription.created",
              1_658_872_916_000_000, "subscription:ra8foq26o2dt"),
    )  # fmt: skip

    def test_either_of_two_signatures_is_enough(self) -> None:
        """For 24 hours after the secret was made anew, both sign."""
        signed, former = (self.sign(self.asking(EVENT), secret) for secret in (PLAIN, OTHER))
        first, second = (one.headers["recurly-signature"] for one in (signed, former))
        both = delivered(signed, recurly_signature=f"{second},{first.partition(',')[2]}")

        assert isinstance(self.source(PLAIN).admit(both, self.at_us), Events)
        assert isinstance(self.source(OTHER).admit(both, self.at_us), Events)

    def test_the_time_comes_first(self) -> None:
        signed = self.sign(self.asking(EVENT))
        stamp, _, mark = signed.headers["recurly-signature"].partition(",")

        refused = self.source().admit(delivered(signed, recurly_signature=f"{mark},{stamp}"), self.at_us)

        assert refused == Rejected("timestamp_malformed")
