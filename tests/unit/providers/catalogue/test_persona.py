"""Persona: `t.body`, two pairs while a secret is rotated."""

import hashlib
import hmac

import pytest

from gateway.core.admission import Rejected
from gateway.providers.persona import PERSONA
from tests.admitting import NOW, PLAIN, only, request
from tests.provider_shape import OTHER, Known, ProviderShape

# From "Webhooks", shortened.
BODY = (
    b'{"data": {"type": "event", "id": "evt_XGuUL2vZZJGGQyvDm7eEVPfL", "attributes": {"name": "inquiry.completed", '
    b'"payload": {"data": {"type": "inquiry", "id": "inq_2CVZ4HyVg7qaboXz2PUHknAn"}}, "created-at": '
    b'"2020-04-21T15:37:07.000Z"}}}'
)


def _pair(secret: str, at: int = NOW) -> str:
    return f"t={at},v1={hmac.new(secret.encode(), b'%d.' % at + BODY, hashlib.sha256).hexdigest()}"


class TestPersona(ProviderShape):
    provider = PERSONA
    covers = frozenset({"body"})
    known = (
        Known(BODY, "evt_XGuUL2vZZJGGQyvDm7eEVPfL", "inquiry.completed", 1_587_483_427_000_000,
              "inq_2CVZ4HyVg7qaboXz2PUHknAn"),
    )  # fmt: skip

    @pytest.mark.parametrize(
        "header",
        [
            _pair(PLAIN),
            f"{_pair(PLAIN)} {_pair(OTHER)}",
            f"{_pair(OTHER)} {_pair(PLAIN)}",
        ],
    )
    def test_either_pair_counts_while_a_secret_is_rotated(self, header: str) -> None:
        """Providers, section 9.3."""
        arrived = request(BODY, {"persona-signature": header})

        assert only(self.admit(self.source(), arrived)).type == "inquiry.completed"

    def test_pairs_of_different_times_are_refused(self) -> None:
        header = f"{_pair(OTHER)} {_pair(PLAIN, NOW - 1)}"

        assert isinstance(self.admit(self.source(), request(BODY, {"persona-signature": header})), Rejected)
