"""Yousign: the body alone."""

from gateway.providers.yousign import YOUSIGN
from tests.provider_shape import Known, ProviderShape


class TestYousign(ProviderShape):
    provider = YOUSIGN
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event_id": "e1", "event_name": "signature_request.done", "event_time": "1700000000", '
            b'"data": {"signature_request": {"id": "sr_1"}}}',
            "e1",
            "signature_request.done",
            1_700_000_000_000_000,
            "sr_1",
        ),
    )
