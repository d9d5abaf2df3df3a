"""Figma: the webhook's passcode in the body."""

from dataclasses import replace
from typing import Any, ClassVar

from gateway.providers.figma import FIGMA
from tests.admitting import PLAIN, only, reason, request
from tests.provider_shape import Known, ProviderShape

PING = b'{"event_type": "PING", "passcode": "a test secret", "timestamp": "2020-02-23T20:27:16Z", "webhook_id": "22"}'
COMMENT = (
    b'{"comment": [{"text": "this is a comment"}], "comment_id": "32", "event_type": "FILE_COMMENT", '
    b'"file_key": "zH12", "passcode": "a test secret", "timestamp": "2020-02-23T20:27:16Z", "webhook_id": "22"}'
)


class TestFigma(ProviderShape):
    provider = FIGMA
    covers = frozenset()
    known = (
        Known(PING, None, "PING", 1_582_489_636_000_000, "22"),
        Known(COMMENT, None, "FILE_COMMENT", 1_582_489_636_000_000, "zH12"),
    )
    breaks: ClassVar[Any] = {
        "another passcode": lambda signed: replace(signed, body=signed.body.replace(PLAIN.encode(), b"another")),
        "no passcode": lambda signed: replace(signed, body=signed.body.replace(b'"passcode"', b'"other"')),
        "a passcode that is no text": lambda signed: replace(signed, body=b'{"passcode": ["' + PLAIN.encode() + b'"]}'),
        "no JSON": lambda signed: replace(signed, body=signed.body[:-1]),
    }

    def test_a_documented_delivery_is_admitted_by_its_passcode(self) -> None:
        assert only(self.admit(self.source(PLAIN), request(COMMENT))).type == "FILE_COMMENT"
        assert reason(self.admit(self.source(), request(b""))) == "signature_malformed"
