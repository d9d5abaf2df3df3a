"""Brevo: a bearer token, Basic credentials or a token in the URL; single events and batches."""

import base64
import hashlib

import pytest

from gateway.providers.brevo import BREVO
from tests.admitting import only, reason, request
from tests.provider_shape import Batch, Known, ProviderShape

DELIVERED = (
    b'{"event": "delivered", "email": "example@domain.com", "id": 26224, "date": "2020-10-09 00:00:00", "ts": '
    b"1604933619, "
    b'"message-id": "<201798300811.5787683@relay.domain.com>", "ts_event": 1604933654, "subject": "My first '
    b'Transactional"}'
)
OPENED = DELIVERED.replace(b"delivered", b"unique_opened")
MESSAGE = "<201798300811.5787683@relay.domain.com>"


def _id(kind: str, body: bytes) -> str:
    return f"{kind}:{MESSAGE}:sha256:{hashlib.sha256(body).hexdigest()}"


class TestBrevo(ProviderShape):
    provider = BREVO
    secret = "user:password"
    other = "user:another"
    covers = frozenset()
    known = (Known(DELIVERED, _id("delivered", DELIVERED), "delivered", 1_604_933_654_000_000, MESSAGE),)
    batches = (
        Batch(
            b"[" + DELIVERED + b", " + OPENED + b"]",
            (_id("delivered", DELIVERED), _id("unique_opened", OPENED)),
            ("delivered", "unique_opened"),
            (DELIVERED, OPENED),
        ),
    )

    @pytest.mark.parametrize("text", ["Bearer user:password", "Basic " + base64.b64encode(b"user:password").decode()])
    def test_the_authorization_header_admits(self, text: str) -> None:
        assert only(self.admit(self.source(), request(DELIVERED, {"authorization": text}))).type == "delivered"
        refused = self.admit(
            self.source(), request(DELIVERED, {"authorization": text + "x"}, query=b"token=user:password")
        )
        assert reason(refused) == "signature_mismatch"
