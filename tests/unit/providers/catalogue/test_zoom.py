"""Zoom: `v0:timestamp:body`, and the signed validation of the URL."""

import hashlib
import hmac

from gateway.core.admission import Events
from gateway.providers.zoom import ZOOM
from tests.admitting import PLAIN, answer, delivered
from tests.provider_shape import OTHER, Asked, Known, ProviderShape

STARTED = (
    b'{"event": "meeting.started", "event_ts": 1626230691572, "payload": {"account_id": "AAAAAABBBB", "object": {"id": '
    b'"1234567890", "uuid": "4444AAAiAAAAAiAiAiiAii==", "host_id": "x1yCzABCDEfg23HiJKl4mN", "topic": "My Meeting"}}}'
)
VALIDATION = (
    b'{"payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}, "event_ts": 1654503849680, '
    b'"event": "endpoint.url_validation"}'
)


def _answer(secret: str) -> bytes:
    digest = hmac.new(secret.encode(), b"qgg8vlvZRS6UYooatFL8Aw", hashlib.sha256).hexdigest()
    return b'{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"' + digest.encode() + b'"}'


class TestZoom(ProviderShape):
    provider = ZOOM
    covers = frozenset({"body", "x-zm-request-timestamp"})
    known = (
        Known(STARTED, "sha256:" + hashlib.sha256(STARTED).hexdigest(), "meeting.started", 1_626_230_691_572_000,
              "4444AAAiAAAAAiAiAiiAii=="),
    )  # fmt: skip
    asked = (Asked(body=VALIDATION, signed=True, answer=_answer(PLAIN), answer_type="application/json"),)

    def test_a_validation_is_answered_under_the_secret_that_signed_it(self) -> None:
        arrived = self.signed_body(VALIDATION, "application/json", b"", {})

        assert answer(self.admit(self.source(OTHER, PLAIN), arrived)) == _answer(PLAIN)

    def test_no_token_is_signed_that_could_be_a_delivery(self) -> None:
        for token in (b"v0:1700000000:{}", b"", b"x" * 129, b"a b", b"\\u00e9"):
            body = VALIDATION.replace(b"qgg8vlvZRS6UYooatFL8Aw", token)

            assert isinstance(self.admit(self.source(), self.signed_body(body, "application/json", b"", {})), Events)

    def test_an_event_of_two_subscriptions_is_stored_once(self) -> None:
        signed = self.genuine()

        first, second = (
            self.admit(self.source(), delivered(signed, **{"x-zm-trackingid": tracking})) for tracking in ("a", "b")
        )

        assert isinstance(first, Events)
        assert isinstance(second, Events)
        assert first.events[0].dedupe_key == second.events[0].dedupe_key
