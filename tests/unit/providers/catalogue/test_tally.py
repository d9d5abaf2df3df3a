"""Tally: base64 of the body's HMAC."""

from gateway.providers.tally import TALLY
from tests.provider_shape import Known, ProviderShape


class TestTally(ProviderShape):
    provider = TALLY
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"eventId": "a4cb511e", "eventType": "FORM_RESPONSE", "createdAt": "2023-06-28T15:00:21.889Z", '
            b'"data": {"responseId": "2wgx4n", "submissionId": "2wgx4n", "formId": "VwbNEw", "fields": []}}',
            "a4cb511e",
            "FORM_RESPONSE",
            1_687_964_421_889_000,
            "VwbNEw",
        ),
    )
