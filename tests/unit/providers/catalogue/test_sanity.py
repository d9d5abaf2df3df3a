"""Sanity: base64url without padding, milliseconds, no bound on age."""

from gateway.providers.sanity import SANITY
from tests.provider_shape import Known, ProviderShape


class TestSanity(ProviderShape):
    provider = SANITY
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"_id": "resume", "_type": "post", "_updatedAt": "2023-11-14T22:13:20Z"}',
            "b4fc2d1e",
            "post.update",
            1_700_000_000_000_000,
            "resume",
            headers={"idempotency-key": "b4fc2d1e", "sanity-operation": "update"},
            flags=("type_unsigned",),
        ),
        Known(b"{}", "b4fc2d1e", "delete", headers={"idempotency-key": "b4fc2d1e", "sanity-operation": "delete"}),
        Known(b"{}", "delivery", "update", headers={"sanity-operation": "update"}, name="equal bodies are two events"),
    )
