"""Mailchimp: signed webhooks, and those of old with a secret in the URL."""

import hashlib
import hmac

import pytest

from gateway.core.admission import Handshake
from gateway.providers.mailchimp import MAILCHIMP
from tests.admitting import FORM, NOW, PLAIN, delivered, only, reason, request
from tests.provider_shape import Asked, Known, ProviderShape

SUBSCRIBE = (
    b"type=subscribe&fired_at=2009-03-26+21%3A35%3A57&data%5Bid%5D=8a25ff1d98&data%5Blist_id%5D=a6b5da1054"
    b"&data%5Bemail%5D=api%40mailchimp.com&data%5Bemail_type%5D=html&data%5Bmerges%5D%5BFNAME%5D=Mailchimp"
)
UPEMAIL = (
    b"type=upemail&fired_at=2009-03-26+22%3A15%3A09&data%5Blist_id%5D=a6b5da1054&data%5Bnew_id%5D=51da8c3259"
    b"&data%5Bnew_email%5D=api%2Bnew%40mailchimp.com&data%5Bold_email%5D=api%2Bold%40mailchimp.com"
)
KIND = {"content-type": FORM}


class TestMailchimp(ProviderShape):
    provider = MAILCHIMP
    known = (
        Known(SUBSCRIBE, None, "subscribe", 1_238_103_357_000_000, "a6b5da1054:api@mailchimp.com", content_type=FORM),
        Known(UPEMAIL, None, "upemail", 1_238_105_709_000_000, "a6b5da1054:api+new@mailchimp.com", content_type=FORM),
    )
    asked = (Asked(method="GET"), Asked(method="HEAD"))

    def test_a_delivery_signed_as_documented_is_admitted(self) -> None:
        mark = hmac.new(PLAIN.encode(), f"{NOW}.".encode() + SUBSCRIBE, hashlib.sha256).hexdigest()
        headers = KIND | {"x-mailchimp-signature": f"t={NOW},v1={mark}"}

        assert only(self.admit(self.source(), request(SUBSCRIBE, headers))).type == "subscribe"

    def test_a_webhook_without_signature_is_taken_by_the_secret_in_its_url(self) -> None:
        arrived = request(SUBSCRIBE, KIND, query=b"secret=a+test+secret")

        assert only(self.admit(self.source(PLAIN), arrived)).type == "subscribe"

    @pytest.mark.parametrize(
        "query", [b"", b"secret=", b"secret=wrong", b"token=a+test+secret", b"secret=a+test+secret&secret=x"]
    )
    def test_another_secret_in_the_url_is_refused(self, query: bytes) -> None:
        assert reason(self.admit(self.source(), request(SUBSCRIBE, KIND, query=query))).startswith("signature_")

    def test_a_signature_that_fails_does_not_fall_back_to_the_url(self) -> None:
        altered = delivered(self.genuine(), body=SUBSCRIBE)

        forged = request(
            altered.body, {n.decode(): v for n, v in altered.headers.items()}, query=b"secret=a+test+secret"
        )

        assert reason(self.admit(self.source(), forged)) == "signature_mismatch"

    def test_the_url_is_tried_with_its_secret_as_well(self) -> None:
        asked = request(method="GET", query=b"secret=a+test+secret")

        assert isinstance(self.admit(self.source(), asked), Handshake)
