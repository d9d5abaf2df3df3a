"""Heroku: base64 of the body's HMAC; the attempt stands in the body."""

from gateway.core.admission import Events
from gateway.providers.heroku import HEROKU
from tests.admitting import JSON
from tests.provider_shape import Known, ProviderShape

RELEASE = (
    b'{"id": "cd53031a", "action": "update", "resource": "release", "data": {"id": "r1", "app": {"id": "a1"}}, '
    b'"published_at": "2023-11-14T22:13:20Z", "webhook_metadata": {"attempt": {"id": "at1"}, "delivery": {"id": "d1"}, '
    b'"event": {"id": "cd53031a", "include": "api:release"}, "webhook": {"id": "w1"}}}'
)


class TestHeroku(ProviderShape):
    provider = HEROKU
    covers = frozenset({"body"})
    known = (
        Known(RELEASE, "w1:cd53031a", "release.update", 1_700_000_000_000_000, "a1"),
        Known(b'{"id": "cd53031a", "resource": "app", "data": {"id": "a1"}}', "cd53031a", "app", key="a1"),
    )

    def test_another_attempt_is_the_same_event_and_another_webhook_is_not(self) -> None:
        keys = []
        for body in (RELEASE, RELEASE.replace(b'"at1"', b'"at2"'), RELEASE.replace(b'"w1"', b'"w2"')):
            admission = self.admit(self.source(), self.signed_body(body, JSON, b"", {}))
            assert isinstance(admission, Events)
            keys.append(admission.events[0].dedupe_key)

        assert keys[0] == keys[1]
        assert keys[2] != keys[0]
