"""Datadog: the default payload, and one that the operator enriched."""

from gateway.providers.datadog import DATADOG
from tests.provider_breaks import with_authorization
from tests.provider_shape import Known, ProviderShape

# The integration's default payload, filled in; the second with what the setup adds.
DEFAULT = (
    b'{"body": "%%%\\nCPU\\n%%%", "last_updated": "1700000000000", "event_type": "query_alert_monitor", "title": '
    b'"[Triggered] CPU", "date": "1700000000000", "org": {"id": "11023", "name": "Datadog"}, "id": "1234567"}'
)
ENRICHED = DEFAULT[:-1] + b', "alert_id": "1234", "alert_transition": "Triggered", "alert_cycle_key": "9876"}'


class TestDatadog(ProviderShape):
    provider = DATADOG
    covers = frozenset()
    known = (
        Known(DEFAULT, "1234567", "query_alert_monitor", 1_700_000_000_000_000, "1234567"),
        Known(ENRICHED, "1234567", "Triggered", 1_700_000_000_000_000, "9876"),
        Known(b'{"text": "no id"}', "delivery", "unknown"),
    )
    breaks = with_authorization()
