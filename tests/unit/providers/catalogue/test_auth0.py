"""Auth0: log streams in three formats, and event streams."""

from gateway.providers.auth0 import AUTH0
from tests.admitting import PLAIN, events, request
from tests.provider_shape import Batch, Known, ProviderShape

# From "Log event type codes" and the event stream's "user.created", shortened.
LOGIN = (
    b'{"log_id": "90020210118160028", "data": {"date": "2021-01-18T16:00:28.000Z", "type": "s", '
    b'"client_id": "AaiyAPdpYdesoKnqjj8HJqRn4T5titww", "user_id": "auth0|600"}}'
)
FAILED = (
    b'{"log_id": "90020210118160029", "data": {"date": "2021-01-18T16:00:29.000Z", "type": "fp", "client_id": "Aaiy"}}'
)
CREATED = (
    b'{"id": "evt_1234567890abcdef", "source": "urn:auth0:tenant.auth0.com", "specversion": "1.0", '
    b'"type": "user.created", "time": "2025-02-01T12:34:56Z", "data": {"object": '
    b'{"user_id": "auth0|507f1f77bcf86cd799439020"}}}'
)
IDS, TYPES = ("90020210118160028", "90020210118160029"), ("s", "fp")


class TestAuth0(ProviderShape):
    provider = AUTH0
    covers = frozenset()
    known = (
        Known(LOGIN + b"\n", "90020210118160028", "s", 1_610_985_628_000_000, "auth0|600", name="one line"),
        Known(CREATED, "evt_1234567890abcdef", "user.created", 1_738_413_296_000_000,
              "auth0|507f1f77bcf86cd799439020", name="event stream"),
    )  # fmt: skip
    batches = (
        Batch(LOGIN + b"\n" + FAILED + b"\n", IDS, TYPES, (LOGIN, FAILED)),
        Batch(b"[" + LOGIN + b",\n" + FAILED + b"]", IDS, TYPES, (LOGIN, FAILED)),
        Batch(b'{"logs": [' + LOGIN + b", " + FAILED + b"]}", IDS, TYPES, (LOGIN, FAILED)),
    )

    def test_the_token_may_stand_behind_bearer(self) -> None:
        for text in (PLAIN, f"Bearer {PLAIN}"):
            assert len(events(self.admit(self.source(), request(LOGIN, {"authorization": text})))) == 1
