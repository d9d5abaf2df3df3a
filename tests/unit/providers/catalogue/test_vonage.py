"""Vonage: a bearer token with the digest of the body."""

import hashlib
from typing import Any

import pytest

from gateway.core.jwt import written
from gateway.providers.vonage import VONAGE
from tests.admitting import NOW, NOW_US, PLAIN, SECOND, only, reason, request
from tests.provider_shape import Known, ProviderShape

STATUS = (
    b'{"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": "447700900000", "from": "447700900001", '
    b'"timestamp": "2025-02-03T12:14:25Z", "status": "submitted", "channel": "sms"}'
)
INBOUND = (
    b'{"channel": "whatsapp", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": "447700900000", '
    b'"from": "447700900001", "timestamp": "2025-02-03T12:14:25Z", "message_type": "text", "text": "Hello there."}'
)
CALL = (
    b'{"from": "442079460000", "to": "447700900000", "uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789cd", '
    b'"conversation_uuid": '
    b'"CON-aaaaaaaa", "status": "ringing", "direction": "outbound", "timestamp": "2020-01-01T12:00:00.000Z"}'
)
VERIFY = (
    b'{"request_id": "c11236f4", "type": "summary", "submitted_at": "2020-01-01T14:00:00.000Z", "status": "completed"}'
)


def _bearer(**over: object) -> dict[str, str]:
    claims = {"iat": NOW, "jti": "j", "iss": "Vonage", "payload_hash": hashlib.sha256(STATUS).hexdigest()}
    kept = {name: value for name, value in (claims | over).items() if value != ""}
    return {"authorization": "Bearer " + written({}, kept, PLAIN.encode(), "HS256").decode()}


class TestVonage(ProviderShape):
    provider = VONAGE
    known = (
        Known(STATUS, "aaaaaaaa-bbbb-cccc-dddd-0123456789ab:submitted:2025-02-03T12:14:25Z", "message.submitted",
              1_738_584_865_000_000, "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
        Known(INBOUND, "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "message.inbound", 1_738_584_865_000_000),
        Known(CALL, "aaaaaaaa-bbbb-cccc-dddd-0123456789cd:ringing:2020-01-01T12:00:00.000Z", "call.ringing",
              1_577_880_000_000_000, "CON-aaaaaaaa"),
        Known(VERIFY, "c11236f4:summary:sha256:" + hashlib.sha256(VERIFY).hexdigest(), "verify.summary", None,
              "c11236f4"),
    )  # fmt: skip

    def _admitted(self, headers: dict[str, str], **options: Any) -> Any:
        return self.admit(self.source(**options), request(STATUS, headers))

    @pytest.mark.parametrize(
        "over, why",
        [
            pytest.param({"payload_hash": ""}, "body_digest_mismatch", id="no digest"),
            pytest.param({"payload_hash": "0" * 64}, "body_digest_mismatch", id="another digest"),
            pytest.param({"iat": ""}, "timestamp_missing", id="no time"),
            pytest.param({"iat": NOW - 100_000}, "timestamp_stale", id="old"),
            pytest.param({"iat": NOW + 120}, "timestamp_future", id="ahead"),
            pytest.param({"exp": NOW - 120}, "timestamp_stale", id="expired"),
            pytest.param({"nbf": NOW + 120}, "timestamp_future", id="not yet"),
        ],
    )
    def test_a_claim_that_is_wrong_or_missing_refuses(self, over: dict[str, object], why: str) -> None:
        assert reason(self._admitted(_bearer(**over))) == why

    def test_the_operator_s_tolerance_takes_the_place_of_ours(self) -> None:
        headers = _bearer(iat=NOW - 600)

        assert only(self._admitted(headers)).type == "message.submitted"
        assert reason(self._admitted(headers, tolerance=300.0)) == "timestamp_stale"

    @pytest.mark.parametrize("text", ["Basic dTpw", "Bearer", "Bearer a.b", "Bearer a.b.c", "Bearer " + "a" * 9000])
    def test_what_is_no_bearer_token_is_malformed(self, text: str) -> None:
        assert reason(self._admitted({"authorization": text})) == "signature_malformed"

    def test_the_age_is_the_token_s(self) -> None:
        admission = self.admit(self.source(), request(STATUS, _bearer(iat=NOW - 5)), NOW_US + SECOND)

        assert admission.signature_age == 6.0  # type: ignore[union-attr] # `only` would hide it
