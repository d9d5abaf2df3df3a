"""Telnyx: `timestamp|body` by Ed25519; each attempt counts itself in the body."""

import base64

from gateway.core.admission import Rejected
from gateway.providers.telnyx import TELNYX
from tests.admitting import delivered, only
from tests.keys import ED25519, ed25519_raw, other_ed25519
from tests.provider_shape import Known, ProviderShape

FINALIZED = (
    b'{"data": {"event_type": "message.finalized", "id": "4ee8c3a6-4995-4309-a3c6-38e3db9ea4be", "occurred_at": '
    b'"2019-12-09T21:32:14.148+00:00", "payload": {"id": "834f3d53-8a3c-4aa0-a733-7f2d682a72df"}, "record_type": '
    b'"event"}, '
    b'"meta": {"attempt": 1, "delivered_to": "http://example.com/webhooks"}}'
)
CALL = (
    b'{"data": {"record_type": "event", "event_type": "call.initiated", "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", '
    b'"occurred_at": "2018-02-02T22:25:27.521992Z", "payload": {"call_control_id": "v2:7subYr8", "call_session_id": '
    b'"428c31b6-7af4-4bcb-b7f5-5013ef9657c1"}}}'
)


class TestTelnyx(ProviderShape):
    provider = TELNYX
    secret = ED25519
    other = other_ed25519()
    covers = frozenset({"body", "telnyx-timestamp"})
    known = (
        Known(FINALIZED, "4ee8c3a6-4995-4309-a3c6-38e3db9ea4be", "message.finalized", 1_575_927_134_148_000,
              "834f3d53-8a3c-4aa0-a733-7f2d682a72df"),
        Known(CALL, "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0", "call.initiated", 1_517_610_327_521_992,
              "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"),
    )  # fmt: skip

    def test_the_public_key_from_the_portal_verifies(self) -> None:
        public = self.source(base64.b64encode(ed25519_raw(ED25519)).decode())

        assert public.sign is None
        assert not isinstance(self.admit(public, delivered(self.genuine())), Rejected)

    def test_the_second_attempt_is_a_duplicate(self) -> None:
        first, second = (
            only(self.admit(self.source(), self.signed_body(body, "application/json", b"", {})))
            for body in (FINALIZED, FINALIZED.replace(b'"attempt": 1', b'"attempt": 2'))
        )

        assert first.dedupe_key == second.dedupe_key
