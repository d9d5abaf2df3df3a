"""OpenAI: Standard Webhooks; a secret without its prefix is its own text."""

import base64
import hashlib
import hmac

import pytest

from gateway.core.admission import Rejected
from gateway.providers.openai import OPENAI
from tests.admitting import NOW, PLAIN, WHSEC, only, request
from tests.provider_shape import Known, ProviderShape

# From "Webhooks", shortened.
BODY = (
    b'{"object": "event", "id": "evt_685343a1381c819085d44c354e1b330e", "type": "response.completed", "created_at": '
    b'1750287018, "data": {"id": "resp_abc123"}}'
)


class TestOpenai(ProviderShape):
    provider = OPENAI
    secret = WHSEC
    other = "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="
    covers = frozenset({"body", "webhook-id", "webhook-timestamp"})
    known = (Known(BODY, "sent", "response.completed", 1_750_287_018_000_000, "resp_abc123"),)

    def test_a_secret_without_the_prefix_is_its_own_text(self) -> None:
        message = b"wh_1." + str(NOW).encode() + b"." + BODY
        signature = base64.b64encode(hmac.digest(PLAIN.encode(), message, "sha256")).decode()
        headers = {"webhook-id": "wh_1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,{signature}"}

        assert only(self.admit(self.source(PLAIN), request(BODY, headers))).id == "wh_1"
        assert isinstance(self.admit(self.source(WHSEC), request(BODY, headers)), Rejected)

    def test_an_entry_without_a_version_does_not_count(self) -> None:
        key = base64.b64decode(WHSEC.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.new(key, b"wh_1.%d." % NOW + BODY, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": "wh_1", "webhook-timestamp": str(NOW), "webhook-signature": signature}

        assert isinstance(self.admit(self.source(), request(BODY, headers)), Rejected)

    def test_an_api_key_is_no_secret(self) -> None:
        with pytest.raises(ValueError, match="another kind"):
            self.source("sk-proj-1234")
