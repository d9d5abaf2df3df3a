"""X: base64 over the body; the challenge's signature is never a delivery's."""

import base64
import hashlib
import hmac

import msgspec
import pytest

from gateway.core.admission import Handshake, Rejected
from gateway.providers.x import X
from tests.admitting import PLAIN, answer, reason, request
from tests.provider_shape import OTHER, Asked, Known, ProviderShape

POST = (
    b'{"for_user_id": "2244994945", "tweet_create_events": [{"created_at": "Wed Oct 10 20:19:24 +0000 2018", "id": '
    b'1050118621198921728, "id_str": "1050118621198921728", "text": "Hello", "timestamp_ms": "1539202764000"}]}'
)
FOLLOW = (
    b'{"for_user_id": "2244994945", "follow_events": [{"type": "follow", "created_timestamp": "1517588749178", '
    b'"target": {"id": "3001969357"}, "source": {"id": "2244994945"}}]}'
)
ACTIVITY = (
    b'{"data": {"filter": {"user_id": "2244994945"}, "event_type": "profile.update.bio", "payload": {"after": "x"}}}'
)


def _marked(text: bytes, secret: str = PLAIN) -> bytes:
    return b"sha256=" + base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest())


def _digest(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


class TestX(ProviderShape):
    provider = X
    known = (
        Known(POST, _digest(POST), "tweet_create_events", 1_539_202_764_000_000, "2244994945", name="a post"),
        Known(FOLLOW, _digest(FOLLOW), "follow_events", 1_517_588_749_178_000, "2244994945", name="a follower"),
        Known(ACTIVITY, _digest(ACTIVITY), "profile.update.bio", None, "2244994945", name="X Activity"),
    )
    asked = (
        Asked(
            method="GET",
            query=b"crc_token=uzwcfYtzr9",
            answer=b'{"response_token":"' + _marked(b"uzwcfYtzr9") + b'"}',
            answer_type="application/json",
        ),
    )

    def test_a_published_challenge_is_answered(self) -> None:
        """Convoy's crc_test.go."""
        asked = request(method="GET", query=b"crc_token=uzwcfYtzr9")

        got = answer(self.admit(self.source("Convoy"), asked))

        assert got == b'{"response_token":"sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}'

    def test_the_first_secret_answers(self) -> None:
        asked = request(method="GET", query=b"crc_token=abc")

        assert _marked(b"abc", OTHER) in answer(self.admit(self.source(OTHER, PLAIN), asked))

    @pytest.mark.parametrize("token", [b"", b"%7B%7D", b"%7B%22a%22:1%7D", b"x" * 257, b"a+b", b"%00", b"[1]"])
    def test_a_token_that_could_be_a_body_is_not_signed(self, token: bytes) -> None:
        assert isinstance(self.admit(self.source(), request(method="GET", query=b"crc_token=" + token)), Rejected)

    @pytest.mark.parametrize("text", [b"uzwcfYtzr9", b"1539202764000", b"a=b"])
    def test_a_challenge_s_answer_is_no_delivery_s_signature(self, text: bytes) -> None:
        asked = request(method="GET", query=b"crc_token=" + text)
        admission = self.admit(self.source(), asked)
        assert isinstance(admission, Handshake)
        signature = msgspec.json.decode(admission.ack.body)["response_token"]

        for method, query, body in (("POST", b"", text), ("GET", text, b"")):
            forged = request(body, {"x-twitter-webhooks-signature": signature}, method=method, query=query)
            assert reason(self.admit(self.source(), forged)) == "signature_malformed"

    def test_a_signed_body_makes_no_event_of_a_query_string(self) -> None:
        headers = {"x-twitter-webhooks-signature": _marked(POST)}

        assert reason(self.admit(self.source(), request(POST, headers, method="GET", query=b"forged=1"))) == (
            "signature_malformed"
        )
