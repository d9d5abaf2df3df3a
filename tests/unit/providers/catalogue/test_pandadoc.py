"""PandaDoc: the signature in the query string, a list of events."""

import hmac
from dataclasses import replace
from typing import Any, ClassVar

from gateway.providers.pandadoc import PANDADOC
from tests.admitting import PLAIN, events, reason, request
from tests.provider_shape import Batch, Known, ProviderShape

ONE = (
    b'{"event": "document_state_changed", "data": {"id": "msNcLSsGpP3xjLt5R4tB", "name": "Sample Document", '
    b'"date_created": "2021-10-11T09:06:54.000000Z", "date_modified": "2021-10-11T09:07:28.210000Z", '
    b'"status": "document.completed"}}'
)
TWO = b'{"event": "recipient_completed", "data": {"id": "msNcLSsGpP3xjLt5R4tB"}}'


class TestPandaDoc(ProviderShape):
    provider = PANDADOC
    covers = frozenset({"body"})
    known = (Known(b"[" + ONE + b"]", None, "document_state_changed", 1_633_943_248_210_000, "msNcLSsGpP3xjLt5R4tB"),)
    batches = (
        Batch(b"[" + ONE + b", " + TWO + b"]", (None, None), ("document_state_changed", "recipient_completed"),
              (ONE, TWO)),
    )  # fmt: skip
    breaks: ClassVar[Any] = {
        "another signature": lambda signed: replace(signed, query=b"signature=" + b"0" * 64),
        "no hex": lambda signed: replace(signed, query=b"signature=%FF"),
        "no signature": lambda signed: replace(signed, query=b""),
        "two signatures": lambda signed: replace(signed, query=signed.query + b"&" + signed.query),
    }

    def test_a_signature_as_the_documentation_makes_it_is_admitted(self) -> None:
        body = b"[" + ONE + b"]"
        query = b"a=b&signature=" + hmac.new(PLAIN.encode(), body, "sha256").hexdigest().encode()

        assert len(events(self.admit(self.source(), request(body, query=query)))) == 1
        assert reason(self.admit(self.source(), request(body, query=query + b"&signature=x"))) == "signature_repeated"
