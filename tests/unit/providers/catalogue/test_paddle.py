"""Paddle: `ts:body` under `h1`, in a list of semicolons."""

import pytest

from gateway.core.admission import Events, Rejected
from gateway.providers.paddle import PADDLE
from tests.admitting import delivered
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"event_id":"evt_01hv8x2axb33yr5y238zfwcn5p","event_type":"transaction.completed","occurred_at":'
    b'"2024-04-12T10:18:50.155553Z","notification_id":"ntf_01hv8x2azy7scaan4s0eb0273x","data":{"id":'
    b'"txn_01hv8wptq8987qeep44cyrewp9","status":"completed","subscription_id":"sub_01hv8x29kz0t586xy6zn1a62ny"}}'
)


class TestPaddle(ProviderShape):
    provider = PADDLE
    known = (
        Known(EVENT, "evt_01hv8x2axb33yr5y238zfwcn5p", "transaction.completed", 1_712_917_130_155_553,
              "sub_01hv8x29kz0t586xy6zn1a62ny"),
    )  # fmt: skip

    @pytest.mark.parametrize("more", [";h1=" + "0" * 64, ";h2=" + "0" * 64, ";x", ";", "; "])
    def test_further_entries_are_ignored(self, more: str) -> None:
        """Paddle's own library raises for a key that it does not know."""
        signed = self.genuine()
        name = "paddle-signature"

        for value in (signed.headers[name] + more, f"h1={'0' * 64};{signed.headers[name]}"):
            arrived = delivered(signed, paddle_signature=value)
            assert isinstance(self.source().admit(arrived, self.at_us), Events)

    @pytest.mark.parametrize("separator", [",", "&", " "])
    def test_another_separator_is_none(self, separator: str) -> None:
        signed = self.genuine()
        value = signed.headers["paddle-signature"].replace(";", separator)

        assert isinstance(self.source().admit(delivered(signed, paddle_signature=value), self.at_us), Rejected)

    def test_two_times_are_one_too_many(self) -> None:
        signed = self.genuine()
        value = signed.headers["paddle-signature"] + ";ts=1700000001"

        refused = self.source().admit(delivered(signed, paddle_signature=value), self.at_us)

        assert refused == Rejected("timestamp_malformed")
