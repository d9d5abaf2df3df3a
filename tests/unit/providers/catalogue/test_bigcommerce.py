"""BigCommerce: Standard Webhooks under the client secret as text."""

from gateway.providers.bigcommerce import BIGCOMMERCE
from tests.admitting import delivered
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"producer":"stores/abcde","hash":"0f1b5800def7b505369b08b4a3503a1db2c4b1a6","created_at":1688588419,'
    b'"store_id":"1001197568","scope":"store/order/updated","data":{"type":"order","id":272}}'
)


class TestBigCommerce(ProviderShape):
    provider = BIGCOMMERCE
    covers = frozenset({"body", "webhook-id"})
    known = (Known(EVENT, "sent", "store/order/updated", 1_688_588_419_000_000, "stores/abcde:order:272"),)

    def test_its_id_is_signed(self) -> None:
        forged = delivered(self.genuine(), webhook_id="another")

        assert self.source().id_is_signed
        assert getattr(self.source().admit(forged, self.at_us), "reason", "") == "signature_mismatch"
