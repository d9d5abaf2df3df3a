"""Dropbox Sign: a hash in the JSON of a form field, which covers time and type alone."""

import hmac
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from gateway.core.admission import Events
from gateway.core.event import Event
from gateway.providers.dropbox_sign import DROPBOX_SIGN
from tests.admitting import FORM, PLAIN, only, reason, request
from tests.provider_shape import Known, ProviderShape

BOUNDARY = "----------------------------6f2a3b"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
HASH = hmac.new(PLAIN.encode(), b"1348177752signature_request_viewed", "sha256").hexdigest()
SENT = (
    b'{"event": {"event_type": "signature_request_viewed", "event_time": "1348177752", "event_hash": "' + HASH.encode()
    + b'", "event_metadata": {"related_signature_id": "ad4d8a769b555fa5ef38691465d426682bf2c992"}}, '
    b'"signature_request": {"signature_request_id": "fa5c8a0b0f492d768749333ad6fcc214c111e967"}}'
)  # fmt: skip
TEMPLATE = (
    b'{"event": {"event_type": "template_created", "event_time": "1348177752", "event_hash": ""}, '
    b'"template": {"template_id": "c26b8a16"}}'
)


def _multipart(json: bytes, boundary: str = BOUNDARY) -> bytes:
    part = f'--{boundary}\r\ncontent-disposition: form-data; name="json"\r\n\r\n'.encode() + json + b"\r\n"
    return part + f"--{boundary}--\r\n".encode()


class TestDropboxSign(ProviderShape):
    provider = DROPBOX_SIGN
    covers = frozenset()
    known = (
        Known(SENT, "signature_request_viewed:1348177752:fa5c8a0b0f492d768749333ad6fcc214c111e967"
              ":ad4d8a769b555fa5ef38691465d426682bf2c992", "signature_request_viewed", 1_348_177_752_000_000,
              "fa5c8a0b0f492d768749333ad6fcc214c111e967"),
        Known(TEMPLATE, "template_created:1348177752:c26b8a16", "template_created", key="c26b8a16"),
        Known(b'{"event": {"event_type": "callback_test", "event_time": "1348177752"}}', None, "callback_test"),
    )  # fmt: skip
    breaks: ClassVar[Any] = {
        "another time": lambda signed: replace(signed, body=signed.body.replace(b'"17000', b'"16000')),
        "another type": lambda signed: replace(signed, body=signed.body.replace(b"request_signed", b"request_viewed")),
        "no hash": lambda signed: replace(signed, body=signed.body.replace(b"event_hash", b"other")),
        "no event": lambda signed: replace(signed, body=b"{}"),
        "no JSON": lambda signed: replace(signed, body=signed.body[:-1]),
    }

    def test_the_callback_is_read_from_a_field_of_either_kind_of_form(self) -> None:
        for body, content_type in ((_multipart(SENT), MULTIPART), (urlencode({"json": SENT}).encode(), FORM)):
            event = self._admitted(body, content_type)
            assert (event.type, event.body) == ("signature_request_viewed", body)
            assert not event.id_is_signed
            assert "opaque" not in event.flags

    def test_a_retry_in_another_form_has_the_same_id(self) -> None:
        again = self._admitted(_multipart(SENT, "another"), "multipart/form-data; boundary=another")

        assert again.id == self._admitted(_multipart(SENT), MULTIPART).id

    def test_a_form_without_the_field_is_refused(self) -> None:
        empty = _multipart(SENT).replace(b'"json"', b'"file"')

        assert reason(self.admit(self.source(), request(empty, {"content-type": MULTIPART}))) == "signature_malformed"
        assert reason(self.admit(self.source(), request(b"a=b", {"content-type": FORM}))) == "signature_malformed"

    def test_the_prescribed_words_are_answered(self) -> None:
        accepted = self.source().accepted

        assert accepted is not None
        assert (accepted.status, accepted.body) == (200, b"Hello API Event Received")

    def _admitted(self, body: bytes, content_type: str) -> Event:
        admission = self.admit(self.source(), request(body, {"content-type": content_type}))
        assert isinstance(admission, Events), admission
        return only(admission)
