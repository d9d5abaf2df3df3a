"""Loops: Standard Webhooks, read by names of its own."""

from gateway.providers.loops import LOOPS
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

CREATED = (
    b'{"eventName": "contact.created", "eventTime": 1734425918, "webhookSchemaVersion": "1.0.0", "contactIdentity": '
    b'{"id": "cm4t1suns001uw6atri87v54s", "email": "test@example.com", "userId": null}}'
)


class TestLoops(ProviderShape):
    provider = LOOPS
    secret = WHSEC
    other = "whsec_" + "QUFB" * 8
    covers = frozenset({"body", "webhook-id", "webhook-timestamp"})
    known = (Known(CREATED, "sent", "contact.created", 1_734_425_918_000_000, "cm4t1suns001uw6atri87v54s"),)
