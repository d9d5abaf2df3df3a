"""Square: the registered URL and the raw body."""

import pytest

from gateway.core.admission import Events, Rejected
from gateway.providers.square import SQUARE
from tests.admitting import URL, delivered
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"merchant_id":"6SSW7HV8K2ST5","type":"payment.created","event_id":"13b867cf-db3d-4b1c-90b6-2f32a9d78124",'
    b'"created_at":"2020-02-06T21:27:34.308Z","data":{"type":"payment","id":"KkAkhdMsgzn59SM8A89WgKwekxLZY",'
    b'"object":{"payment":{"id":"hYy9pRFVxpDsO1FB05SunFWUe9JZY","status":"APPROVED","version":0}}}}'
)


class TestSquare(ProviderShape):
    provider = SQUARE
    known = (
        Known(EVENT, "13b867cf-db3d-4b1c-90b6-2f32a9d78124", "payment.created", 1_581_024_454_308_000,
              "6SSW7HV8K2ST5:KkAkhdMsgzn59SM8A89WgKwekxLZY"),
    )  # fmt: skip

    @pytest.mark.parametrize("url", [URL + "/", URL.replace("https", "http"), URL.replace(".com", ".com:443")])
    def test_the_url_counts_to_the_letter(self, url: str) -> None:
        target = self.source(public_url=url)

        assert target.admit(delivered(self.genuine()), self.at_us) == Rejected("signature_mismatch")

    def test_the_query_string_that_arrives_is_no_part_of_it(self) -> None:
        registered = self.source(public_url=URL + "?tenant=1")
        assert registered.sign is not None
        signed = registered.sign(self.example())

        assert isinstance(registered.admit(delivered(signed), self.at_us), Events)

    def test_a_source_without_its_url_is_a_mistake_of_configuration(self) -> None:
        with pytest.raises(ValueError, match="public_url"):
            self.source(public_url=None)
