"""Dropbox: pings that repeat themselves word for word, and a GET challenge."""

import msgspec

from gateway.core.admission import Events
from gateway.providers.dropbox import DROPBOX
from tests.admitting import JSON
from tests.provider_shape import Asked, Known, ProviderShape

PING = b'{"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb"]}, "delta": {"users": [12345678]}}'


class TestDropbox(ProviderShape):
    provider = DROPBOX
    covers = frozenset({"body"})
    known = (Known(PING, "delivery", "list_folder", key="dbid:AAH4f99T0taONIb"),)
    asked = (
        Asked(method="GET", query=b"challenge=AbC-123", answer=b"AbC-123", answer_type="text/plain",
              headers={"X-Content-Type-Options": "nosniff"}),
    )  # fmt: skip

    def test_two_pings_with_the_same_words_are_two_events(self) -> None:
        arrived = self.signed_body(PING, JSON, b"", {})
        first = self.admit(self.source(), arrived)
        second = self.admit(self.source(), msgspec.structs.replace(arrived, delivery_id="another"))

        assert isinstance(first, Events)
        assert isinstance(second, Events)
        assert first.events[0].dedupe_key != second.events[0].dedupe_key
