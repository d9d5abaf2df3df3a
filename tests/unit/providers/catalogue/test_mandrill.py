"""Mandrill: URL and sorted fields signed; events in a form field; the HEAD at set-up."""

import base64
import hashlib
import hmac
from urllib.parse import quote_plus

from gateway.core.admission import Rejected
from gateway.providers.mandrill import MANDRILL
from tests.admitting import FORM, PLAIN, URL, events, request
from tests.provider_shape import Asked, Batch, Known, ProviderShape

SEND = b'{"event":"send","msg":{"_id":"exampleaaaaaaaaa","email":"a@b.c"},"_id":"exampleaaaaaaaaa","ts":1384954004}'
CLICK = b'{"event":"click","_id":"exampleaaaaaaaaa","ts":1384954004,"url":"http:\\/\\/mandrill.com"}'
BLACKLIST = b'{"type":"blacklist","action":"add","reject":{"reason":"hard-bounce","email":"a@b.c"},"ts":1384954005}'


def _body(*elements: bytes) -> bytes:
    return b"mandrill_events=" + quote_plus(b"[" + b",".join(elements) + b"]").encode()


def _id(element: bytes, kind: str) -> str:
    return f"exampleaaaaaaaaa:{kind}:sha256:{hashlib.sha256(element).hexdigest()}"


class TestMandrill(ProviderShape):
    provider = MANDRILL
    known = (
        Known(_body(SEND), _id(SEND, "send"), "send", 1_384_954_004_000_000, "exampleaaaaaaaaa", content_type=FORM),
        Known(_body(BLACKLIST), None, "sync.blacklist", 1_384_954_005_000_000, content_type=FORM, name="a sync event"),
    )
    batches = (
        Batch(_body(SEND, CLICK), (_id(SEND, "send"), _id(CLICK, "click")), ("send", "click"), (SEND, CLICK), FORM),
    )
    asked = (Asked(method="HEAD"),)

    def test_a_batch_signed_as_documented_is_admitted_under_the_registered_url_alone(self) -> None:
        message = URL.encode() + b"mandrill_events[" + SEND + b"]"
        mark = base64.b64encode(hmac.new(PLAIN.encode(), message, hashlib.sha1).digest()).decode()
        arrived = request(_body(SEND), {"content-type": FORM, "x-mandrill-signature": mark})

        assert len(events(self.admit(self.source(), arrived))) == 1
        assert isinstance(self.admit(self.source(public_url=URL + "/"), arrived), Rejected)

    def test_fields_are_signed_in_the_order_of_their_names(self) -> None:
        message = URL.encode() + b"a1mandrill_events[]z2"
        mark = base64.b64encode(hmac.new(PLAIN.encode(), message, hashlib.sha1).digest()).decode()
        headers = {"content-type": FORM, "x-mandrill-signature": mark}

        assert events(self.admit(self.source(), request(b"z=2&mandrill_events=%5B%5D&a=1", headers))) == ()

    def test_a_test_without_events_is_acknowledged(self) -> None:
        assert events(self.admit(self.source(), self.signed_body(_body(), FORM, b"", {}))) == ()

    def test_two_clicks_in_one_second_are_two_events(self) -> None:
        other = CLICK.replace(b"mandrill.com", b"example.com")

        first, second = events(self.admit(self.source(), self.signed_body(_body(CLICK, other), FORM, b"", {})))

        assert first.dedupe_key != second.dedupe_key
        assert first.key == second.key
