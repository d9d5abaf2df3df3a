"""Juspay: Basic authentication, and nothing signed."""

from gateway.providers.juspay import JUSPAY
from tests.provider_shape import Known, ProviderShape


class TestJuspay(ProviderShape):
    provider = JUSPAY
    secret = "user:password"
    other = "user:another"
    covers = frozenset()
    known = (
        Known(
            b'{"id": "evt_V2_1", "date_created": "2023-11-14T22:13:20Z", "event_name": "ORDER_FAILED", '
            b'"content": {"order": {"order_id": "o1"}}}',
            "evt_V2_1",
            "ORDER_FAILED",
            1_700_000_000_000_000,
            "o1",
        ),
    )
