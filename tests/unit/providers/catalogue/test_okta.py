"""Okta: events split, the challenge by GET, a bare secret."""

from gateway.core.admission import Rejected
from gateway.providers.okta import OKTA
from tests.admitting import PLAIN, only, request
from tests.provider_shape import Asked, Batch, Known, ProviderShape

# From "Event Hooks" of the management API, shortened.
EVENT = (
    b'{"uuid": "c78a2f07-1f35-4f3b-8b3e-8c3e0e1f7a11", "published": "2019-03-28T19:26:20.319Z", "eventType": '
    b'"user.account.update_profile", "version": "0", "actor": {"id": "00uh5skncpfRTYXQ00g3", "type": "User"}, '
    b'"target": [{"id": "00uh5skncpfRTYXQ00g4", "type": "User"}]}'
)
SESSION = (
    b'{"uuid": "b7b3f3a5-0f0e-4a5f-9a5f-2f8f4e2f0c22", "published": "2019-03-28T19:26:21Z", "eventType": '
    b'"user.session.start", "actor": {"id": "00uh5skncpfRTYXQ00g3"}, "target": null}'
)
HEAD = (
    b'{"eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "source": '
    b'"https://example.okta.com/api/v1/eventHooks/who8", "data": {"events": ['
)
TAIL = b']}, "eventTime": "2019-03-28T19:26:22Z", "contentType": "application/json"}'
CHALLENGE = {"x-okta-verification-challenge": 'my "verification" challenge'}


class TestOkta(ProviderShape):
    provider = OKTA
    covers = frozenset()
    known = (
        Known(HEAD + EVENT + TAIL, "c78a2f07-1f35-4f3b-8b3e-8c3e0e1f7a11", "user.account.update_profile",
              1_553_801_180_319_000, "00uh5skncpfRTYXQ00g4"),
    )  # fmt: skip
    batches = (
        Batch(
            HEAD + EVENT + b", " + SESSION + TAIL,
            ("c78a2f07-1f35-4f3b-8b3e-8c3e0e1f7a11", "b7b3f3a5-0f0e-4a5f-9a5f-2f8f4e2f0c22"),
            ("user.account.update_profile", "user.session.start"),
            (EVENT, SESSION),
        ),
    )
    asked = (
        Asked(
            method="GET", sent=CHALLENGE, answer=b'{"verification": "my \\"verification\\" challenge"}',
            answer_type="application/json", name="verification",
        ),
        Asked(
            method="GET", sent=CHALLENGE, signed=False, answer=b'{"verification": "my \\"verification\\" challenge"}',
            name="verification with the secret",
        ),
        Asked(method="GET", signed=True, answer=b"", name="a probe"),
    )  # fmt: skip

    def test_a_challenge_with_a_wrong_secret_is_refused(self) -> None:
        arrived = request(headers={**CHALLENGE, "authorization": "other"}, method="GET")

        assert isinstance(self.admit(self.source(), arrived), Rejected)

    def test_the_hook_is_told_to_handlers_of_its_events(self) -> None:
        event = only(self.admit(self.source(), request(HEAD + EVENT + TAIL, {"authorization": PLAIN})))

        assert event.headers["okta-event-hook-id"] == "https://example.okta.com/api/v1/eventHooks/who8"
        assert event.headers["okta-event-type-version"] == "1.0"

    def test_the_secret_may_stand_behind_bearer(self) -> None:
        for text in (PLAIN, f"Bearer {PLAIN}"):
            event = only(self.admit(self.source(), request(HEAD + EVENT + TAIL, {"authorization": text})))
            assert event.verified_by == "s0"
