"""MessageBird: a token with the digests of URL and body, and short times."""

import hashlib
from typing import Any

import pytest

from gateway.core.jwt import written
from gateway.providers.messagebird import MESSAGEBIRD
from tests.admitting import NOW, NOW_US, PLAIN, SECOND, URL, only, reason, request
from tests.provider_shape import Known, ProviderShape

HEADER = "messagebird-signature-jwt"
CREATED = (
    b'{"type":"message.created","contact":{"id":"9354647c"},"conversation":{"id":"2e15efafec384e1c82e9842075e87beb"},'
    b'"message":{"id":"e6d5a5a8","status":"received","createdDatetime":"2017-01-12T14:03:47Z",'
    b'"updatedDatetime":"2017-01-12T14:03:48Z"}}'
)
STATUS = (
    b"id=efa6405d518d4c0c88cce11f7db775fb&reference=the-reference&recipient=31207009850&status=delivered"
    b"&statusDatetime=2017-09-01T10%3A00%3A05%2B00%3A00"
)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _token(algorithm: Any = "HS256", **over: object) -> str:
    claims = {"iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "url_hash": _digest(URL.encode())}
    claims |= {"payload_hash": _digest(CREATED)}
    return written({}, {k: v for k, v in (claims | over).items() if v != ""}, PLAIN.encode(), algorithm).decode()


class TestMessageBird(ProviderShape):
    provider = MESSAGEBIRD
    covers = frozenset({"body", "query"})
    renewed = True
    known = (
        Known(CREATED, "message.created:e6d5a5a8:received:2017-01-12T14:03:48Z", "message.created",
              1_484_229_828_000_000, "2e15efafec384e1c82e9842075e87beb"),
    )  # fmt: skip

    def _admitted(self, token: str, body: bytes = CREATED, at_us: int = NOW_US) -> Any:
        return self.admit(self.source(), request(body, {HEADER: token}), at_us)

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_each_of_its_algorithms_is_taken(self, algorithm: str) -> None:
        assert only(self._admitted(_token(algorithm))).type == "message.created"

    @pytest.mark.parametrize(
        "over, why",
        [
            pytest.param({"iss": "Another"}, "signature_mismatch", id="another issuer"),
            pytest.param({"iss": ""}, "signature_mismatch", id="no issuer"),
            pytest.param({"nbf": ""}, "timestamp_missing", id="no beginning"),
            pytest.param({"exp": ""}, "timestamp_missing", id="no end"),
            pytest.param({"exp": "soon"}, "timestamp_missing", id="an end that is no time"),
            pytest.param({"url_hash": _digest(b"https://evil.example/")}, "body_digest_mismatch", id="another URL"),
            pytest.param({"url_hash": ""}, "body_digest_mismatch", id="no URL"),
            pytest.param({"payload_hash": ""}, "body_digest_mismatch", id="no digest of a body that is there"),
        ],
    )
    def test_a_claim_that_is_wrong_or_missing_refuses(self, over: dict[str, Any], why: str) -> None:
        assert reason(self._admitted(_token(**over))) == why

    def test_a_digest_of_a_body_that_is_not_there_refuses(self) -> None:
        assert reason(self._admitted(_token(), b"")) == "body_digest_mismatch"

    def test_its_own_times_hold_to_a_second(self) -> None:
        assert only(self._admitted(_token(), at_us=NOW_US + 61 * SECOND)).type == "message.created"
        assert reason(self._admitted(_token(), at_us=NOW_US + 62 * SECOND)) == "timestamp_stale"
        assert reason(self._admitted(_token(), at_us=NOW_US - 2 * SECOND)) == "timestamp_future"

    @pytest.mark.parametrize("algorithm", ["none", "RS256", "HS1"])
    def test_a_token_that_names_another_algorithm_is_refused(self, algorithm: str) -> None:
        forged = written({"alg": algorithm}, {"iss": "MessageBird"}, PLAIN.encode(), "HS256").decode()

        assert reason(self._admitted(forged)) == "signature_mismatch"

    def test_a_status_report_by_get_is_its_query_string(self) -> None:
        token = _token(url_hash=_digest(URL.encode() + b"?" + STATUS), payload_hash="")

        event = only(self.admit(self.source(), request(b"", {HEADER: token}, method="GET", query=STATUS)))

        assert (event.type, event.key) == ("status.delivered", "efa6405d518d4c0c88cce11f7db775fb")
        assert event.body == STATUS
        assert event.id.startswith("efa6405d518d4c0c88cce11f7db775fb:31207009850:delivered:")
