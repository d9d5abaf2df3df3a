"""AfterShip: one way to sign, three headers."""

from gateway.core.admission import Events, Rejected
from gateway.providers.aftership import AFTERSHIP
from tests.admitting import delivered
from tests.provider_shape import Known, ProviderShape


class TestAfterShip(ProviderShape):
    provider = AFTERSHIP
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event": "tracking_update", "event_id": "94dadd60", "msg": {"id": "m1", "tag": "InTransit"}, '
            b'"ts": 1712741696}',
            "94dadd60",
            "tracking_update",
            1_712_741_696_000_000,
            "m1",
            name="tracking",
        ),
        Known(
            b'{"id": "c82422a6", "event": "warranty.created", "created_at": "2024-02-01T21:29:47.218678282Z", '
            b'"data": {"warranty": {"id": "102a899f"}}}',
            "c82422a6",
            "warranty.created",
            1_706_822_987_218_678,
            "102a899f",
            name="warranty",
        ),
        Known(
            b'{"event_type": "create_a_label", "date_time": "2022-02-11T08:10:56+00:00", "data": {"id": "l1"}}',
            None,
            "create_a_label",
            1_644_567_056_000_000,
            "l1",
            name="shipping",
        ),
    )

    def test_each_product_signs_in_a_header_of_its_own(self) -> None:
        for name, prefix in (("as-signature-hmac-sha256", b""), ("am-webhook-signature", b"hmac-sha256=")):
            arrived = delivered(self.genuine())
            signature = arrived.headers.pop(b"aftership-hmac-sha256")
            arrived.headers[name.encode()] = prefix + signature
            assert isinstance(self.admit(self.source(), arrived), Events), name
            arrived.headers[name.encode()] = prefix + b"A" * 43 + b"="
            assert isinstance(self.admit(self.source(), arrived), Rejected), name
