"""Standard Webhooks: `id.timestamp.body` in base64, under either family of headers; Svix is the same one, renamed."""

from gateway.providers.standard_webhooks import STANDARD_WEBHOOKS
from gateway.providers.svix import SVIX
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

# The specification's example.
BODY = (
    b'{"type": "contact.created", "timestamp": "2022-11-03T20:26:10.344522Z", '
    b'"data": {"id": "1f81eb52-5198-4599-803e-771906343485", "type": "contact"}}'
)
OTHER = "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="
KNOWN = (Known(BODY, "sent", "contact.created", 1_667_507_170_344_522, "1f81eb52-5198-4599-803e-771906343485"),)


class TestStandardWebhooks(ProviderShape):
    provider = STANDARD_WEBHOOKS
    secret = WHSEC
    other = OTHER
    covers = frozenset({"body", "webhook-id", "webhook-timestamp"})
    known = KNOWN


class TestSvix(ProviderShape):
    provider = SVIX
    secret = WHSEC
    other = OTHER
    covers = frozenset({"body", "svix-id", "svix-timestamp"})
    known = KNOWN
