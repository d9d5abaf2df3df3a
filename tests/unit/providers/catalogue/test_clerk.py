"""Clerk: Svix's headers, milliseconds in the body."""

from gateway.providers.clerk import CLERK
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

# From "Webhooks overview", shortened.
BODY = (
    b'{"data": {"created_at": 1654012591514, "id": "user_29w83sxmDNGwOuEthce5gg56FcC", "object": "user"}'
    b', "instance_id": "ins_123", "object": "event", "timestamp": 1654012591835, "type": "user.created"}'
)


class TestClerk(ProviderShape):
    provider = CLERK
    secret = WHSEC
    other = "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="
    covers = frozenset({"body", "svix-id", "svix-timestamp"})
    known = (
        Known(BODY, "sent", "user.created", 1_654_012_591_835_000, "user_29w83sxmDNGwOuEthce5gg56FcC"),
        Known(b'{"data": {"id": "sess_1", "user_id": "user_1"}, "type": "session.created"}', "sent",
              "session.created", None, "user_1"),
    )  # fmt: skip
