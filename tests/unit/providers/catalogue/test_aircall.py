"""Aircall: the webhook's token in the body."""

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

from gateway.providers.aircall import AIRCALL
from tests.admitting import PLAIN, only, reason, request
from tests.provider_shape import Known, ProviderShape

CLOSED = (
    b'{"resource":"number","event":"number.closed","timestamp":1585001020,"token":"a test secret","data":{"id":456,'
    b'"name":"My first Aircall Number","open":false}}'
)


class TestAircall(ProviderShape):
    provider = AIRCALL
    covers = frozenset()
    known = (
        Known(CLOSED, "sha256:" + hashlib.sha256(CLOSED).hexdigest(), "number.closed", 1_585_001_020_000_000,
              "number:456"),
    )  # fmt: skip
    breaks: ClassVar[Any] = {
        "another token": lambda signed: replace(signed, body=signed.body.replace(PLAIN.encode(), b"another")),
        "no token": lambda signed: replace(signed, body=signed.body.replace(b'"token"', b'"other"')),
        "a token that is no text": lambda signed: replace(signed, body=b'{"token": ["' + PLAIN.encode() + b'"]}'),
        "no JSON": lambda signed: replace(signed, body=signed.body[:-1]),
    }

    def test_a_published_delivery_is_admitted_by_its_token(self) -> None:
        assert only(self.admit(self.source("a test secret"), request(CLOSED))).type == "number.closed"
        assert reason(self.admit(self.source(), request(b""))) == "signature_malformed"
