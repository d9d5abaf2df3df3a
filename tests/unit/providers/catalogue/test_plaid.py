"""Plaid: ES256 alone, the body's digest, keys by their id, five minutes."""

import base64
import hashlib
import json
from collections.abc import Mapping

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.core.admission import Admission, Events, NeedsKey, Rejected
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.plaid import PLAID
from tests.admitting import NOW, SECOND, delivered
from tests.provider_shape import Known, ProviderShape

KID = "bfbd5111-8e33-4643-8ced-b2e642a72f3c"
REF = f"https://production.plaid.com/webhook_verification_key/get#{KID}"
KEY = ec.generate_private_key(ec.SECP256R1())


def url64(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def answer(**over: object) -> bytes:
    """Return Plaid's answer with the public key."""
    numbers = KEY.public_key().public_numbers()
    key = {
        "alg": "ES256", "created_at": 1_560_466_143, "crv": "P-256", "expired_at": None, "kid": KID, "kty": "EC",
        "use": "sig", "x": url64(numbers.x.to_bytes(32)), "y": url64(numbers.y.to_bytes(32)),
    }  # fmt: skip
    return json.dumps({"key": key | over, "request_id": "RZ6Omi1bzzwDaLo"}).encode()


def token(body: bytes, at: float, header: Mapping[str, object] | None = None, **claims: object) -> str:
    head = {"alg": "ES256", "kid": KID, "typ": "JWT"} | dict(header or {})
    said = {"iat": at, "request_body_sha256": hashlib.sha256(body).hexdigest()} | claims
    signed = ".".join(url64(json.dumps(part).encode()) for part in (head, said))
    r, s = decode_dss_signature(KEY.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{url64(r.to_bytes(32) + s.to_bytes(32))}"


UPDATE = (
    b'{\n  "webhook_type": "TRANSACTIONS",\n  "webhook_code": "SYNC_UPDATES_AVAILABLE",\n  "item_id": '
    b'"wz666MBjYWTp2PDzzggYhM6oWWmBb",\n  "initial_update_complete": true,\n  "environment": "production"\n}'
)


class TestPlaid(ProviderShape):
    provider = PLAID
    secret = None
    settings = {"client_id": ("5af3c1d2",), "secret": ("a plaid secret",)}
    keys = {REF: answer()}
    known = (Known(UPDATE, "delivery", "TRANSACTIONS.SYNC_UPDATES_AVAILABLE", None, "wz666MBjYWTp2PDzzggYhM6oWWmBb"),)

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        headers = {"content-type": "application/json", "plaid-verification": token(asked.body, asked.now_us / SECOND)}
        return SignedRequest(method="POST", query=b"", headers=headers, body=asked.body)

    def deliver(self, text: str, *, body: bytes = UPDATE, keys: Mapping[str, bytes] | None = None) -> Admission:
        signed = SignedRequest(method="POST", query=b"", headers={"plaid-verification": text}, body=body)
        arrived = msgspec.structs.replace(delivered(signed), keys=self.keys if keys is None else keys)
        return self.source().admit(arrived, self.at_us)

    def test_a_key_is_asked_for_with_the_operator_s_credentials(self) -> None:
        target = self.source(values={**self.settings, "environment": ("sandbox",)})
        ref = REF.replace("production", "sandbox")

        assert target.admit(delivered(self.genuine()), self.at_us) == NeedsKey(ref)
        assert target.key_request is not None
        ask = target.key_request(ref)
        assert (ask.url, ask.method) == ("https://sandbox.plaid.com/webhook_verification_key/get", "POST")
        assert json.loads(ask.body) == {"client_id": "5af3c1d2", "secret": "a plaid secret", "key_id": KID}
        assert "a plaid secret" not in repr(ask)

    @pytest.mark.parametrize("over", [{"expired_at": NOW - 1}, {"kid": "another"}, {"crv": "P-384"}, {"x": "AAAA"}])
    def test_a_key_that_expired_or_is_another_s_is_asked_for_anew(self, over: dict[str, object]) -> None:
        assert self.deliver(token(UPDATE, NOW), keys={REF: answer(**over)}) == NeedsKey(REF)

    def test_a_key_that_expires_later_still_counts(self) -> None:
        assert isinstance(self.deliver(token(UPDATE, NOW), keys={REF: answer(expired_at=NOW + 60)}), Events)

    @pytest.mark.parametrize("found", [b"", b"[]", b'{"key": 1}', b'{"key": {"kid": 1}}', b"{" * 3_000])
    def test_an_answer_that_holds_no_key_is_asked_for_anew(self, found: bytes) -> None:
        assert self.deliver(token(UPDATE, NOW), keys={REF: found}) == NeedsKey(REF)

    @pytest.mark.parametrize(
        "header",
        [{"alg": "none"}, {"alg": "HS256"}, {"alg": "RS256"}, {"kid": "../../evil"}, {"kid": "a" * 65}, {"kid": 7}],
    )
    def test_no_other_algorithm_and_no_odd_key_id_is_looked_at(self, header: dict[str, object]) -> None:
        assert self.deliver(token(UPDATE, NOW, header)) == Rejected("signature_malformed")

    def test_another_body_is_refused_before_a_key_is_asked_for(self) -> None:
        refused = self.deliver(token(UPDATE, NOW), body=UPDATE.replace(b"  ", b" "), keys={})

        assert isinstance(refused, Rejected)
        assert refused.reason == "body_digest_mismatch"

    def test_a_token_is_five_minutes_good(self) -> None:
        assert isinstance(self.deliver(token(UPDATE, NOW - 300)), Events)
        assert self.deliver(token(UPDATE, NOW - 301)) == Rejected("timestamp_stale", 301.0)

    def test_a_token_without_its_time_or_digest_is_refused(self) -> None:
        assert self.deliver(token(UPDATE, NOW, iat=None)) == Rejected("timestamp_missing")
        refused = self.deliver(token(UPDATE, NOW, request_body_sha256=None))
        assert isinstance(refused, Rejected)
        assert refused.reason == "body_digest_mismatch"

    def test_the_same_words_on_another_delivery_are_another_event(self) -> None:
        arrived = msgspec.structs.replace(delivered(self.genuine()), keys=self.keys)
        later = msgspec.structs.replace(arrived, delivery_id="another")
        found = [self.source().admit(one, self.at_us) for one in (arrived, later)]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 2
