"""Segment: SHA-1 over one event; a batch is signed in part only, and refused."""

import hmac

from gateway.core.admission import Rejected
from gateway.providers.segment import SEGMENT
from tests.admitting import PLAIN, request
from tests.provider_shape import Known, ProviderShape


class TestSegment(ProviderShape):
    provider = SEGMENT
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"messageId": "022bb90c", "type": "track", "event": "Signed Up", "userId": "u1", '
            b'"originalTimestamp": "2023-11-14T22:13:20.000Z"}',
            "022bb90c",
            "track.Signed Up",
            1_700_000_000_000_000,
            "u1",
        ),
        Known(b'{"messageId": "1", "type": "identify", "anonymousId": "a1"}', "1", "identify", key="a1"),
        Known(b'{"type": "identify"}', "delivery", "identify", name="what a mapping left"),
    )

    def test_a_batch_of_which_only_the_first_event_is_signed_is_refused(self) -> None:
        first = b'{"messageId": "1", "type": "track"}'
        signature = hmac.new(PLAIN.encode(), first, "sha1").hexdigest()
        arrived = request(b"[" + first + b', {"messageId": "2", "type": "track"}]', {"x-signature": signature})

        assert isinstance(self.admit(self.source(), arrived), Rejected)
