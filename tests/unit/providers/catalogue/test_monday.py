"""monday.com: a token in the URL, or an app's JWT that covers no body; a JSON challenge."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import jwt
import pytest

from gateway.core.admission import Events, Handshake
from gateway.providers.monday import MONDAY
from tests.admitting import NOW, delivered, only, reason, request
from tests.provider_shape import Asked, Known, ProviderShape

BODY = (
    b'{"event": {"boardId": 1771812698, "pulseId": 1772099344, "type": "create_pulse", '
    b'"triggerTime": "2021-10-11T09:07:28.210Z", "triggerUuid": "b5ed2e17c530f43668de130142445cba"}}'
)
CHALLENGE = b'{"challenge": "3eZbrw1a\\"x"}'
SECRET = "a test secret that the library of JWT finds long enough for HMAC"
CLAIMS: Mapping[str, object] = {"accountId": 1, "userId": 2, "aud": "https://x/y", "iat": NOW, "exp": NOW + 300}


def _app(claims: Mapping[str, object] = CLAIMS, key: Any = SECRET, algorithm: str = "HS256") -> dict[str, str]:
    return {"authorization": jwt.encode(dict(claims), key, algorithm=algorithm)}


class TestMonday(ProviderShape):
    provider = MONDAY
    secret = SECRET
    covers = frozenset()
    known = (
        Known(BODY, "b5ed2e17c530f43668de130142445cba", "create_pulse", 1_633_943_248_210_000,
              "1771812698:1772099344"),
        Known(BODY.replace(b'"triggerUuid"', b'"subscriptionId": 73759690, "triggerUuid"'),
              "b5ed2e17c530f43668de130142445cba:73759690", "create_pulse", name="of one webhook of several"),
        Known(b'{"type": "install"}', "delivery", "install", name="of an app's life cycle"),
    )  # fmt: skip
    asked = (Asked(body=CHALLENGE, answer=CHALLENGE, answer_type="application/json"),)
    breaks: ClassVar[Any] = {
        "another token": lambda signed: replace(signed, query=b"token=another"),
        "no token": lambda signed: replace(signed, query=b""),
        "two tokens": lambda signed: replace(signed, query=signed.query + b"&token=another"),
    }

    def test_without_a_token_it_takes_what_comes_and_marks_it(self) -> None:
        admission = self.admit(self.source(None), delivered(self.genuine()))

        assert isinstance(admission, Events)
        assert "unverified" in admission.events[0].flags

    @pytest.mark.parametrize("prefix", ["", "Bearer "])
    def test_the_token_of_an_app_proves_a_delivery_and_a_challenge(self, prefix: str) -> None:
        headers = {"authorization": prefix + _app()["authorization"]}

        assert only(self.admit(self.source("another", SECRET), request(BODY, headers))).verified_by == "s1"
        assert isinstance(self.admit(self.source(), request(CHALLENGE, headers)), Handshake)

    def test_a_token_in_the_url_counts_beside_an_app_that_signs_with_another_secret(self) -> None:
        genuine = delivered(self.genuine())
        genuine.headers[b"authorization"] = _app(key="the secret of another app, which is long enough too")[
            "authorization"
        ].encode()

        assert isinstance(self.admit(self.source(), genuine), Events)

    @pytest.mark.parametrize(
        "headers, cause",
        [
            (_app(key="the secret of another app, which is long enough too"), "signature_mismatch"),
            (_app({**CLAIMS, "exp": NOW - 120}), "timestamp_stale"),
            (_app({"accountId": 1}), "timestamp_missing"),
            (_app(algorithm="HS512"), "signature_mismatch"),
            (_app(key=None, algorithm="none"), "signature_mismatch"),
            ({"authorization": "a.b"}, "signature_malformed"),
            ({}, "signature_missing"),
        ],
    )
    def test_another_token_is_refused(self, headers: Mapping[str, str], cause: str) -> None:
        assert reason(self.admit(self.source(), request(BODY, headers))) == cause
