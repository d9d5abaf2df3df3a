"""Mux: `t.body`, and retries that tell of the earlier attempts."""

from gateway.providers.mux import MUX
from tests.admitting import only
from tests.provider_shape import Known, ProviderShape

# From "Listen for webhooks", shortened.
BODY = (
    b'{"type": "video.asset.created", "object": {"type": "asset", "id": "0201p02fGKPE7MrbC269XRD7LpcHhrmbu0002"}, '
    b'"id": "3a56ac3d-33da-4366-855b-f592d898409d", "environment": {"name": "Production", "id": "j0863n"}, "data": '
    b'{"status": "preparing", "id": "0201p02fGKPE7MrbC269XRD7LpcHhrmbu0002"}, '
    b'"created_at": "2018-02-15T01:04:45.000Z", "accessor": null, "request_id": null, "attempts": []}'
)


class TestMux(ProviderShape):
    provider = MUX
    covers = frozenset({"body"})
    known = (
        Known(BODY, "3a56ac3d-33da-4366-855b-f592d898409d", "video.asset.created", 1_518_656_685_000_000,
              "0201p02fGKPE7MrbC269XRD7LpcHhrmbu0002"),
    )  # fmt: skip

    def test_a_retry_that_tells_of_the_first_attempt_is_the_same_event(self) -> None:
        bodies = (BODY, BODY.replace(b'"attempts": []', b'"attempts": [{"response_status_code": 500}]'))

        keys = {
            only(self.admit(self.source(), self.signed_body(body, "application/json", b"", {}))).dedupe_key
            for body in bodies
        }

        assert len(keys) == 1
