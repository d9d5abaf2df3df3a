"""DocuSign Connect: one header for each key, any of them against any of ours."""

from gateway.core.admission import Events
from gateway.providers.docusign import DOCUSIGN
from tests.admitting import JSON, delivered
from tests.provider_shape import Known, ProviderShape


class TestDocusign(ProviderShape):
    provider = DOCUSIGN
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event": "envelope-sent", "generatedDateTime": "2021-01-25T18:00:29.3300000Z", '
            b'"configurationId": 10, "retryCount": 0, "data": {"accountId": "fd7d1a46", "envelopeId": "4f4d3d6a"}}',
            "envelope-sent:4f4d3d6a:10:2021-01-25T18:00:29.3300000Z",
            "envelope-sent",
            1_611_597_629_330_000,
            "4f4d3d6a",
            name="events",
        ),
        Known(
            b'{"event": "recipient-completed", "generatedDateTime": "2021-01-25T18:00:29.3300000Z", '
            b'"configurationId": 10, "data": {"envelopeId": "4f4d3d6a", "recipientId": "2"}}',
            "recipient-completed:4f4d3d6a:2:10:2021-01-25T18:00:29.3300000Z",
            "recipient-completed",
            name="of a recipient",
        ),
        Known(
            b'{"status": "completed", "envelopeId": "4f4d3d6a"}',
            None,
            "envelope-completed",
            key="4f4d3d6a",
            name="legacy",
        ),
    )

    def test_a_retry_with_another_count_is_the_same_event(self) -> None:
        body = self.known[0].body
        first = self.admit(self.source(), self.signed_body(body, JSON, b"", {}))
        again = self.admit(self.source(), self.signed_body(body.replace(b'Count": 0', b'Count": 1'), JSON, b"", {}))

        assert isinstance(first, Events)
        assert isinstance(again, Events)
        assert first.events[0].body != again.events[0].body
        assert first.events[0].dedupe_key == again.events[0].dedupe_key

    def test_a_signature_in_any_of_the_numbered_headers_is_enough(self) -> None:
        for number in (2, 100):
            arrived = delivered(self.genuine())
            signature = arrived.headers[b"x-docusign-signature-1"]
            arrived.headers[b"x-docusign-signature-1"] = b"A" * 43 + b"="
            arrived.headers[f"x-docusign-signature-{number}".encode()] = signature
            assert isinstance(self.admit(self.source(), arrived), Events), number
