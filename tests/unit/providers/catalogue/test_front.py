"""Front: `timestamp:body` in base64, milliseconds; the signed challenge in a header."""

import base64
import hashlib
import hmac

from gateway.providers.front import FRONT
from tests.admitting import NOW, PLAIN, only, request
from tests.provider_shape import Asked, Known, ProviderShape

RECEIVED = (
    b'{"type": "inbound_received", "authorization": {"id": "cmp_abc"}, "payload": {"id": "evt_55c8c149", "type": '
    b'"inbound", '
    b'"emitted_at": 1453770984.123, "conversation": {"id": "cnv_55c8c149", "subject": "You broke my heart, Hubert."}}}'
)


class TestFront(ProviderShape):
    provider = FRONT
    covers = frozenset({"body", "x-front-request-timestamp"})
    known = (Known(RECEIVED, "evt_55c8c149", "inbound_received", 1_453_770_984_123_000, "cnv_55c8c149"),)
    asked = (
        Asked(
            body=b'{"type": "sync", "authorization": {"id": "cmp_abc"}}',
            sent={"x-front-challenge": 'abc"123'},
            signed=True,
            answer=b'{"challenge": "abc\\"123"}',
            answer_type="application/json",
        ),
    )

    def test_a_delivery_signed_as_documented_is_admitted(self) -> None:
        stamp = f"{NOW}123"
        mark = base64.b64encode(hmac.new(PLAIN.encode(), f"{stamp}:".encode() + RECEIVED, hashlib.sha256).digest())
        headers = {"x-front-request-timestamp": stamp, "x-front-signature": mark.decode()}

        assert only(self.admit(self.source(), request(RECEIVED, headers))).id == "evt_55c8c149"
