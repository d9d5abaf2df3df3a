"""Pipedrive: Basic authentication; ids of version 2 and of version 1."""

from gateway.providers.pipedrive import PIPEDRIVE
from tests.provider_shape import Known, ProviderShape


class TestPipedrive(ProviderShape):
    provider = PIPEDRIVE
    secret = "user:password"
    other = "user:another"
    covers = frozenset()
    known = (
        Known(
            b'{"meta": {"action": "change", "entity": "deal", "entity_id": "7", "id": "5f3a", '
            b'"correlation_id": "5f3a", "version": "2.0", "webhook_id": "12", '
            b'"timestamp": "2023-11-14T22:13:20.123Z", "attempt": 2}}',
            "12:5f3a:change:deal:7:2023-11-14T22:13:20.123Z",
            "change.deal",
            1_700_000_000_123_000,
            "deal:7",
            name="version 2",
        ),
        Known(
            b'{"v": 1, "event": "updated.deal", "retry": 0, "meta": {"action": "updated", "object": "deal", "id": 6, '
            b'"timestamp": 1523440213, "timestamp_micro": 1523440213384700, "webhook_id": "81"}}',
            "81:6:updated:deal:1523440213384700",
            "updated.deal",
            1_523_440_213_000_000,
            "deal:6",
            name="version 1",
        ),
    )
