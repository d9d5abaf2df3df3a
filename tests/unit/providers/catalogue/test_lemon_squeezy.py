"""Lemon Squeezy: the raw body signed, no event id."""

from gateway.providers.lemon_squeezy import LEMON_SQUEEZY
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"meta":{"event_name":"order_created"},"data":{"type":"orders","id":"1","attributes":{"store_id":1,'
    b'"identifier":"636f855c-1fb9-4c07-b75c-3a10afef010a","created_at":"2021-08-11T13:47:27.000000Z",'
    b'"updated_at":"2021-08-11T13:54:54.000000Z"}}}'
)


class TestLemonSqueezy(ProviderShape):
    provider = LEMON_SQUEEZY
    known = (
        Known(EVENT, None, "order_created", 1_628_690_094_000_000, "orders:1",
              headers={"x-event-name": "order_created"}),
    )  # fmt: skip
