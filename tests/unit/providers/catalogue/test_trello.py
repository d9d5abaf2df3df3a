"""Trello: the registered URL is signed behind the body; a HEAD probe."""

from gateway.core.admission import Events, Rejected
from gateway.providers.trello import TRELLO
from tests.admitting import JSON, URL, delivered
from tests.provider_shape import Asked, Known, ProviderShape


class TestTrello(ProviderShape):
    provider = TRELLO
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"action": {"id": "51f9424b", "type": "voteOnCard", "date": "2023-11-14T22:13:20.000Z", '
            b'"data": {"board": {"id": "4d5ea62f"}, "card": {"id": "51a79e72"}}}, "model": {"id": "4d5ea62f"}}',
            "51f9424b:4d5ea62f",
            "voteOnCard",
            1_700_000_000_000_000,
            "51a79e72",
        ),
    )
    asked = (Asked(method="HEAD", name="the probe"),)

    def test_a_webhook_that_counts_its_failures_tells_of_the_same_event_and_another_webhook_does_not(self) -> None:
        body = (
            b'{"action": {"id": "51f9424b", "type": "voteOnCard"}, "webhook": {"id": "w1", "consecutiveFailures": 0}}'
        )
        keys = []
        for sent in (body, body.replace(b": 0", b": 1"), body.replace(b"w1", b"w2")):
            admission = self.admit(self.source(), self.signed_body(sent, JSON, b"", {}))
            assert isinstance(admission, Events)
            keys.append(admission.events[0].dedupe_key)

        assert keys[0] == keys[1]
        assert keys[2] != keys[0]

    def test_another_callback_url_is_refused(self) -> None:
        arrived = delivered(self.genuine())

        assert isinstance(self.admit(self.source(public_url=URL + "/"), arrived), Rejected)
