"""Adyen: each item proved by the signature in it, over eight fields without escaping."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.core.admission import Events, Rejected, Request
from gateway.core.source import SignedRequest
from gateway.providers.adyen import ADYEN
from tests.admitting import HEX, delivered, request
from tests.provider_shape import ProviderShape


def item(**over: Any) -> dict[str, Any]:
    return {
        "amount": {"value": 1130, "currency": "EUR"},
        "pspReference": "7914073381342284",
        "eventCode": "AUTHORISATION",
        "eventDate": "2019-05-06T17:15:34.121+02:00",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "operations": ["CANCEL", "CAPTURE", "REFUND"],
        "paymentMethod": "visa",
        "success": "true",
    } | over


def body(*items: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {"live": "false", "notificationItems": [{"NotificationRequestItem": one} for one in items]}
    )


def changed(change: Callable[[dict[str, Any]], None], at: int = 0) -> Callable[[SignedRequest], SignedRequest]:
    def apply(signed: SignedRequest) -> SignedRequest:
        whole = msgspec.json.decode(signed.body)
        change(whole["notificationItems"][at]["NotificationRequestItem"])
        return replace(signed, body=msgspec.json.encode(whole))

    return apply


def setting(name: str, value: object) -> Callable[[SignedRequest], SignedRequest]:
    return changed(lambda fields: fields.update({name: value}))


CAPTURE = item(eventCode="CAPTURE", originalReference="7914073381342284", pspReference="8825408195409505", reason="")
# Adyen's own library's test item and key.
SIGNED = body(item(additionalData={"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="}))


class TestAdyen(ProviderShape):
    provider = ADYEN
    secret = HEX
    other = HEX.replace("4", "5")
    covers = frozenset()
    breaks = {
        "pspReference": setting("pspReference", "7914073381342285"),
        "originalReference": setting("originalReference", "1"),
        "merchantAccountCode": setting("merchantAccountCode", "Other"),
        "merchantReference": setting("merchantReference", "order-2"),
        "value": setting("amount", {"value": 1131, "currency": "EUR"}),
        "currency": setting("amount", {"value": 1130, "currency": "USD"}),
        "eventCode": setting("eventCode", "REFUND"),
        "success": setting("success", "false"),
        "no signature": setting("additionalData", {}),
        "an empty signature": setting("additionalData", {"hmacSignature": ""}),
        "another signature": setting("additionalData", {"hmacSignature": "A" * 43 + "="}),
        "no items": lambda signed: replace(signed, body=b'{"notificationItems": []}'),
        "no JSON": lambda signed: replace(signed, body=b"live=false"),
    }

    def broken(self) -> Iterator[tuple[str, Request]]:
        # Half of the body is signed and half is not: `breaks` and the test below name the halves.
        return ((name, sent) for name, sent in super().broken() if name != "body")

    def test_a_documented_delivery_is_known_by_its_identity(self) -> None:
        admission = self.admit(self.source(), request(SIGNED, {"content-type": "application/json"}))

        assert isinstance(admission, Events), admission
        (event,) = admission.events
        assert event.id == "TestMerchant:7914073381342284:AUTHORISATION:true"
        assert (event.type, event.key) == ("AUTHORISATION", "7914073381342284")
        assert event.time_us == 1_557_155_734_121_000
        assert event.id_is_signed

    def test_a_batch_is_split_into_its_events_byte_for_byte(self) -> None:
        signed = self.sign(self.asking(body(item(), CAPTURE)))
        admission = self.admit(self.source(), delivered(signed))

        assert isinstance(admission, Events), admission
        assert [event.type for event in admission.events] == ["AUTHORISATION", "CAPTURE"]
        assert [event.key for event in admission.events] == ["7914073381342284", "7914073381342284"]
        assert all(event.body in signed.body for event in admission.events)

    def test_one_item_that_does_not_hold_refuses_the_delivery(self) -> None:
        signed = self.sign(self.asking(body(item(), CAPTURE)))
        forged = changed(lambda fields: fields.update(success="false"), at=1)(signed)

        assert isinstance(self.admit(self.source(), delivered(forged)), Rejected)

    def test_what_is_not_signed_may_differ_between_copies_of_one_event(self) -> None:
        signed = self.sign(self.asking(body(item())))
        again = setting("eventDate", "2019-05-06T18:15:34+02:00")(signed)
        found = [self.admit(self.source(), delivered(one)) for one in (signed, again)]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 1

    @pytest.mark.parametrize("reference", ["a:b", "a\\b", "a\\:b", "é"])
    def test_a_reference_is_signed_as_it_is(self, reference: str) -> None:
        signed = self.sign(self.asking(body(item(merchantReference=reference))))

        assert isinstance(self.admit(self.source(), delivered(signed)), Events)

    def test_text_cannot_be_moved_from_one_field_to_the_next(self) -> None:
        """All fields are joined by a colon, so another division of the same text has the same signature."""
        signed = self.sign(self.asking(body(item(merchantReference="order:1"))))
        moved = changed(lambda fields: fields.update(merchantAccountCode="TestMerchant:order", merchantReference="1"))

        assert self.admit(self.source(), delivered(moved(signed))) == Rejected("signature_malformed")

    @pytest.mark.parametrize("success", [True, "TRUE", "True"])
    def test_a_copy_whose_outcome_is_written_otherwise_is_no_second_event(self, success: object) -> None:
        signed = self.sign(self.asking(body(item())))
        again = setting("success", success)(signed)

        assert isinstance(self.admit(self.source(), delivered(again)), Rejected)

    def test_a_delivery_of_absurdly_many_items_is_refused_before_they_are_looked_at(self) -> None:
        crowd = self.sign(self.asking(body(*[item()] * 1_001)))

        assert self.admit(self.source(), delivered(crowd)) == Rejected("signature_malformed")

    def test_the_answer_is_the_word_older_settings_look_for(self) -> None:
        ack = self.source().accepted

        assert ack is not None
        assert (ack.status, ack.body) == (200, b"[accepted]")
