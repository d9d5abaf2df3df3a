"""Notion: a token that comes by handshake, then plain signatures; the attempt is counted in the body."""

import pytest

from gateway.core.admission import Rejected
from gateway.providers.notion import NOTION
from tests.admitting import request
from tests.provider_shape import Asked, Known, ProviderShape


class TestNotion(ProviderShape):
    provider = NOTION
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"id": "1782edd6", "timestamp": "2023-11-14T22:13:20.000Z", "type": "page.created", "attempt_number": 1, '
            b'"entity": {"id": "153104cd", "type": "page"}}',
            "1782edd6",
            "page.created",
            1_700_000_000_000_000,
            "153104cd",
        ),
    )
    asked = (Asked(body=b'{"verification_token": "secret_tMrlL1qK5vuQAh1b"}', pairing="secret_tMrlL1qK5vuQAh1b"),)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"verification_token": "other"}',
            b'{"verification_token": "secret_a", "id": "1"}',
            b'{"verification_token": 5}',
            b'{"verification_token": "secret_' + b"x" * 300 + b'"}',
            b'["verification_token"]',
            b"\xff",
        ],
    )
    def test_what_only_looks_like_a_token_is_no_pairing(self, body: bytes) -> None:
        assert isinstance(self.admit(self.source(), request(body)), Rejected)
