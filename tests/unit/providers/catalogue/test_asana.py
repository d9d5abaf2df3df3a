"""Asana: a secret that comes by handshake, events without ids, a heartbeat."""

from gateway.core.admission import Events
from gateway.providers.asana import ASANA
from tests.admitting import JSON, request
from tests.provider_shape import Asked, Batch, Known, ProviderShape

ONE = (
    b'{"created_at": "2023-11-14T22:13:20.001Z", "action": "added", "resource": {"gid": "1", "resource_type": "task"}}'
)
TWO = b'{"created_at": "2023-11-14T22:13:20.002Z", "action": "deleted", "resource": {"resource_type": "story"}}'


class TestAsana(ProviderShape):
    provider = ASANA
    covers = frozenset({"body"})
    known = (Known(b'{"events": [' + ONE + b"]}", None, "task.added", 1_700_000_000_001_000, "1"),)
    batches = (
        Batch(b'{"events": [' + ONE + b", " + TWO + b"]}", (None, None), ("task.added", "story.deleted"), (ONE, TWO)),
    )
    asked = (Asked(sent={"x-hook-secret": "b537207f20cbfa02"}, headers={"X-Hook-Secret": "b537207f20cbfa02"},
                   pairing="b537207f20cbfa02", name="the secret of a new webhook"),)  # fmt: skip

    def test_a_heartbeat_is_taken_and_holds_nothing(self) -> None:
        arrived = self.signed_body(b'{"events": []}', JSON, b"", {})

        admission = self.admit(self.source(), arrived)

        assert isinstance(admission, Events)
        assert admission.events == ()

    def test_a_secret_that_no_header_can_hold_is_not_echoed(self) -> None:
        for secret in ("x" * 300, "two words", "\xe9"):
            arrived = request(b"", {"x-hook-secret": secret})
            assert not hasattr(self.admit(self.source(), arrived), "pairing"), secret

    def test_a_source_without_a_secret_refuses_what_is_signed(self) -> None:
        arrived = self.signed_body(b'{"events": []}', JSON, b"", {})
        unpaired = self.source(None)

        assert not isinstance(self.admit(unpaired, arrived), Events)
