"""Replicate: Standard Webhooks over a prediction."""

from gateway.providers.replicate import REPLICATE
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

# From "Receive webhooks", shortened.
BODY = (
    b'{"id": "ufawqhfynnddngldkgtslldrkq", "version": "5c7d5dc6", "created_at": "2022-04-26T22:13:06.224088Z", '
    b'"started_at": null, "completed_at": null, "status": "starting", "input": {"text": "Alice"}, "output": null, '
    b'"error": null, "logs": null, "metrics": {}}'
)


class TestReplicate(ProviderShape):
    provider = REPLICATE
    secret = WHSEC
    other = "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="
    covers = frozenset({"body", "webhook-id", "webhook-timestamp"})
    known = (Known(BODY, "sent", "prediction.starting", 1_651_011_186_224_088, "ufawqhfynnddngldkgtslldrkq"),)
