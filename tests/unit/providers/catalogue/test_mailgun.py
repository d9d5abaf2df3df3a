"""Mailgun: the proof in the body covers a timestamp and a token; forms of inbound mail; token reuse."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import pytest

from gateway.core.source import SignedRequest
from gateway.providers.mailgun import MAILGUN
from tests.admitting import FORM, JSON, NOW, NOW_US, PLAIN, SECOND, delivered, only, reason, request
from tests.provider_shape import Known, ProviderShape

HOUR = 3600
EVENT = (
    b'{"signature": {"timestamp": "1529006854", "token": "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0", '
    b'"signature": "d2271d12299f6592d9d44cd9d250f0704e4674c30d79d07c47a66f95ce71cf55"}, "event-data": {"event": '
    b'"opened", '
    b'"timestamp": 1529006854.329574, "id": "DACSsAdVSeGpLid7TN03WA", "recipient": "recipient@example.com", '
    b'"message": {"headers": {"message-id": "20130503182626.18666.16540@example.com"}}}}'
)
TOKEN = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"


def _altered(field: str, value: object) -> Callable[[SignedRequest], SignedRequest]:
    def change(signed: SignedRequest) -> SignedRequest:
        body: dict[str, Any] = msgspec.json.decode(signed.body)
        body["signature"][field] = value
        return replace(signed, body=msgspec.json.encode(body))

    return change


def _without_proof(signed: SignedRequest) -> SignedRequest:
    body: dict[str, Any] = msgspec.json.decode(signed.body)
    return replace(signed, body=msgspec.json.encode({"event-data": body["event-data"]}))


def _mark(stamp: object, token: str) -> str:
    return hmac.new(PLAIN.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()


class TestMailgun(ProviderShape):
    provider = MAILGUN
    covers = frozenset()
    known = (Known(EVENT, TOKEN, "opened", 1_529_006_854_329_574, "20130503182626.18666.16540@example.com"),)
    breaks: ClassVar[Any] = {
        "token": _altered("token", "another"),
        "timestamp": _altered("timestamp", str(NOW + 1)),
        "signature": _altered("signature", "0" * 64),
        "signature is no text": _altered("signature", 1),
        "no proof": _without_proof,
        "no JSON": lambda signed: replace(signed, body=signed.body[:-1]),
        "deep": lambda signed: replace(signed, body=b"[" * 100_000),
    }

    def test_a_retry_after_eight_hours_with_the_first_proof_is_taken(self) -> None:
        admission = self.admit(self.source(), delivered(self.genuine()), NOW_US + 8 * HOUR * SECOND)

        assert only(admission).type == "delivered"

    def test_another_event_under_a_used_token_has_the_same_identity_and_another_body(self) -> None:
        """So that the store keeps it apart as a conflict; the signature cannot tell."""
        signed = self.genuine()
        forged = signed.body.replace(b'"delivered"', b'"complained"')

        first, second = (
            only(self.admit(self.source(), delivered(signed, body=body))) for body in (signed.body, forged)
        )

        assert (first.identity, first.type, second.type) == (second.identity, "delivered", "complained")
        assert first.dedupe_key != second.dedupe_key
        assert not self.source().id_is_signed

    def test_a_subaccount_s_event_is_taken_under_the_parent_s_key(self) -> None:
        signed = self.genuine()
        body: dict[str, Any] = msgspec.json.decode(signed.body)
        body["signature"] |= {"parent-signature": body["signature"]["signature"], "signature": "0" * 64}

        assert only(self.admit(self.source(), delivered(signed, body=msgspec.json.encode(body)))).type == "delivered"

    @pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=xYzZY"])
    def test_an_inbound_message_is_verified_by_its_form_fields(self, kind: str) -> None:
        fields = {"recipient": "a@example.com", "subject": "Hello", "timestamp": str(NOW), "token": "tok"}
        arrived = request(_form(fields | {"signature": _mark(NOW, "tok")}, kind), {"content-type": kind})
        forged = request(_form(fields | {"signature": _mark(NOW, "other")}, kind), {"content-type": kind})

        event = only(self.admit(self.source(), arrived))

        assert (event.id, event.type, event.key, event.time_us) == ("tok", "inbound", "a@example.com", NOW_US)
        assert event.body == arrived.body
        assert reason(self.admit(self.source(), forged)) == "signature_mismatch"

    @pytest.mark.parametrize(
        "kind, body",
        [
            (JSON, b""),
            (JSON, b"[]"),
            (FORM, b"a=%FF"),
            (FORM, b"a=1&" * 1001),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=b", b"--b\r\n\r\n\xff"),
        ],
    )
    def test_a_body_without_a_readable_proof_is_refused(self, kind: str, body: bytes) -> None:
        assert reason(self.admit(self.source(), request(body, {"content-type": kind}))).startswith("signature_")


def _form(fields: dict[str, str], kind: str) -> bytes:
    if kind == FORM:
        return "&".join(f"{name}={value.replace('@', '%40')}" for name, value in fields.items()).encode()
    part = '--xYzZY\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return "".join(part.format(*field) for field in fields.items()).encode() + b"--xYzZY--\r\n"
