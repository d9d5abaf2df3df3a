"""WooCommerce: the raw body signed, the unsigned ping, ids that count seconds."""

import hashlib

import pytest

from gateway.core.admission import Events, Rejected
from gateway.providers.woocommerce import WOOCOMMERCE
from tests.admitting import FORM, delivered, request
from tests.provider_shape import Asked, Known, ProviderShape

ORDER = (
    b'{"id":727,"parent_id":0,"status":"processing","date_created_gmt":"2017-03-22T19:28:02",'
    b'"date_modified_gmt":"2017-03-22T19:28:08","total":"29.35"}'
)
HEADERS = {
    "x-wc-webhook-source": "http://example.com/",
    "x-wc-webhook-topic": "order.updated",
    "x-wc-webhook-resource": "order",
    "x-wc-webhook-event": "updated",
    "x-wc-webhook-id": "142",
    "x-wc-webhook-delivery-id": "a6d13b2d",
}
DIGEST = "sha256:" + hashlib.sha256(ORDER).hexdigest()


class TestWooCommerce(ProviderShape):
    provider = WOOCOMMERCE
    known = (
        Known(ORDER, f"142:a6d13b2d:{DIGEST}", "order.updated", 1_490_210_888_000_000, "http://example.com/order:727",
              headers=HEADERS, flags=("type_unsigned",)),
    )  # fmt: skip
    asked = (Asked(body=b"webhook_id=142", content_type=FORM, status=200),)

    def test_two_deliveries_of_one_second_are_two_events(self) -> None:
        bodies = (ORDER, ORDER.replace(b"727", b"728"))
        found = [self.admit(self.source(), self.signed_body(body, "application/json", b"", HEADERS)) for body in bodies]

        assert len({one.events[0].identity for one in found if isinstance(one, Events)}) == 2

    def test_an_order_that_is_deleted_twice_makes_two_events(self) -> None:
        deleted = b'{"id":727}'
        found = [
            self.admit(
                self.source(),
                self.signed_body(deleted, "application/json", b"", HEADERS | {"x-wc-webhook-delivery-id": delivery}),
            )
            for delivery in ("first", "second")
        ]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 2

    @pytest.mark.parametrize("body", [b"webhook=1", b"", b'{"webhook_id": 1}', b"webhook_id="])
    def test_no_other_unsigned_delivery_is_answered(self, body: bytes) -> None:
        assert isinstance(self.source().admit(request(body, {"content-type": FORM}), self.at_us), Rejected)

    def test_a_ping_with_a_signature_must_verify(self) -> None:
        arrived = request(b"webhook_id=1", {"content-type": FORM, "x-wc-webhook-signature": "AAAA"})

        assert isinstance(self.source().admit(arrived, self.at_us), Rejected)

    def test_the_secret_is_the_text_that_people_see(self) -> None:
        assert isinstance(
            self.source("a & b").admit(delivered(self.sign(self.asking(ORDER), "a &amp; b")), self.at_us), Rejected
        )
