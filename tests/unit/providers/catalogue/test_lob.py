"""Lob: time and signature in headers of their own."""

from gateway.providers.lob import LOB
from tests.provider_shape import Known, ProviderShape


class TestLob(ProviderShape):
    provider = LOB
    covers = frozenset({"body", "lob-signature-timestamp"})
    known = (
        Known(
            b'{"id": "evt_d95ff8ffd2b5cfb4", "reference_id": "psc_d2d1", "event_type": {"id": "postcard.created"}, '
            b'"date_created": "2023-11-14T22:13:20.000Z", "object": "event"}',
            "evt_d95ff8ffd2b5cfb4",
            "postcard.created",
            1_700_000_000_000_000,
            "psc_d2d1",
        ),
    )
