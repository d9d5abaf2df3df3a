"""Braintree: the payload's signature under any pair, both line ends, and the challenge that signs nothing else."""

import base64
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote_plus

import pytest

from gateway.core.admission import Events, Handshake, Rejected
from gateway.core.signing import checker
from gateway.core.source import SignedRequest
from gateway.providers.braintree import BRAINTREE
from tests.admitting import FORM, request
from tests.provider_shape import Asked, Known, ProviderShape

PUBLIC, PRIVATE = "integration_public_key", "integration_private_key"
NOTIFICATION = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<notification>\n<timestamp type="datetime">2012-01-01T00:00:00Z'
    b"</timestamp>\n<kind>subscription_went_past_due</kind>\n<subject>\n<subscription>\n<id>my_id</id>\n"
    b'<transactions type="array"/>\n</subscription>\n</subject>\n</notification>'
)


def form(payload: bytes, *signatures: str, more: str = "") -> bytes:
    return f"bt_signature={quote_plus('&'.join(signatures))}&bt_payload={quote_plus(payload)}{more}".encode()


def signature(payload: bytes, private: str = PRIVATE) -> str:
    mac = BRAINTREE.schemes[0].macs[0]
    return (checker(mac, private).sign((payload,)) or b"").decode()


def reformed(**over: str) -> Callable[[SignedRequest], SignedRequest]:
    """Return a change of the form's fields, `bt_payload` in place of the genuine one."""
    payload = base64.encodebytes(NOTIFICATION)
    changed = over.get("bt_payload", payload.decode()).encode()
    body = form(changed, over.get("bt_signature", f"{PUBLIC}|{signature(payload)}"), more=over.get("more", ""))
    return lambda signed: replace(signed, body=body)


class TestBraintree(ProviderShape):
    provider = BRAINTREE
    secret = PRIVATE
    other = "another_private_key"
    settings = {"public_key": (PUBLIC,)}
    known = (
        Known(form(base64.encodebytes(NOTIFICATION)), None, "subscription_went_past_due", 1_325_376_000_000_000,
              "my_id", content_type=FORM),
    )  # fmt: skip
    asked = (
        Asked(
            method="GET",
            query=b"bt_challenge=20f9f8ed05f77439fe955c977e4c8a53",
            answer=b"integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4",
            answer_type="text/plain",
        ),
    )
    breaks = {
        "another payload": reformed(bt_payload=base64.b64encode(b"<notification/>").decode()),
        "a payload with other characters": reformed(bt_payload="<notification/>"),
        "a payload cut short": reformed(bt_payload=base64.encodebytes(NOTIFICATION).decode()[:-4]),
        "two payloads": reformed(more="&bt_payload=AAAA"),
        "two signatures": reformed(more=f"&bt_signature={PUBLIC}%7C00"),
        "no bar": reformed(bt_signature=signature(base64.encodebytes(NOTIFICATION))),
        "no signature": reformed(bt_signature=""),
    }

    def deliver(self, payload: bytes, *signatures: str) -> object:
        return self.admit(self.source(), request(form(payload, *signatures), {"content-type": FORM}))

    def test_one_signature_of_many_is_enough(self) -> None:
        payload = base64.encodebytes(NOTIFICATION)

        assert isinstance(self.deliver(payload, "other_key|" + "0" * 40, f"{PUBLIC}|{signature(payload)}"), Events)

    def test_the_payload_may_have_lost_its_line_end(self) -> None:
        payload = base64.encodebytes(NOTIFICATION)

        assert isinstance(self.deliver(payload[:-1], f"{PUBLIC}|{signature(payload)}"), Events)
        assert isinstance(self.deliver(payload[:-2], f"{PUBLIC}|{signature(payload)}"), Rejected)

    def test_a_payload_with_and_without_its_line_end_is_the_same_event(self) -> None:
        payload = base64.encodebytes(NOTIFICATION)
        found = [self.deliver(text, f"{PUBLIC}|{signature(payload)}") for text in (payload, payload[:-1])]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 1

    def test_an_answered_challenge_is_no_signature_of_a_delivery(self) -> None:
        challenge = "20f9f8ed05f77439fe955c977e4c8a53"
        answered = self.admit(self.source(), request(method="GET", query=f"bt_challenge={challenge}".encode()))

        assert isinstance(answered, Handshake)
        assert self.deliver(challenge.encode(), answered.ack.body.decode()) == Rejected("signature_malformed")

    @pytest.mark.parametrize(
        "challenge",
        ["", "20f9f8ed05f77439fe9", "20f9f8ed05f77439fe955c977e4c8a53a", "20F9F8ED05F77439FE955C977E4C8A53", "g" * 20,
         "20f9f8ed05f77439fe955c977e4c8a53%0A", "20f9f8ed05f77439fe955c977e4c8a53&bt_challenge=" + "0" * 20],
    )  # fmt: skip
    def test_nothing_else_is_signed(self, challenge: str) -> None:
        asked = request(method="GET", query=f"bt_challenge={challenge}".encode())

        assert isinstance(self.admit(self.source(), asked), Rejected)

    def test_a_payload_that_is_no_notification_is_kept_as_it_is(self) -> None:
        payload = base64.b64encode(b'<!DOCTYPE n [<!ENTITY e "e">]><notification><kind>&e;</kind></notification>')
        admission = self.deliver(payload, f"{PUBLIC}|{signature(payload)}")

        assert isinstance(admission, Events)
        assert "opaque" in admission.events[0].flags
