"""Intercom: SHA-1; deliveries counted in the body; the ping and the HEAD at set-up."""

from gateway.providers.intercom import INTERCOM
from tests.admitting import only
from tests.provider_shape import Asked, Known, ProviderShape

CREATED = (
    b'{"type": "notification_event", "app_id": "a86dr8yl", "data": {"type": "notification_event_data", "item": '
    b'{"type": '
    b'"user", "id": "530370b477ad7120001d"}}, "links": {}, "id": "notif_78c122d0-23ba-11e4-9464-79b01267cc2e", '
    b'"topic": '
    b'"user.created", "delivery_attempts": 1, "first_sent_at": 1407987160, "created_at": 1407987159}'
)
PING = (
    b'{"type": "notification_event", "app_id": "a86dr8yl", "data": {"type": "notification_event_data", "item": '
    b'{"type": '
    b'"ping", "message": "something something interzen"}}, "id": null, "topic": "ping", "created_at": 1407987160}'
)


class TestIntercom(ProviderShape):
    provider = INTERCOM
    known = (
        Known(CREATED, "notif_78c122d0-23ba-11e4-9464-79b01267cc2e", "user.created", 1_407_987_159_000_000,
              "530370b477ad7120001d"),
        Known(PING, None, "ping", 1_407_987_160_000_000, "a86dr8yl", name="the ping at set-up"),
    )  # fmt: skip
    asked = (Asked(method="HEAD"),)

    def test_the_second_attempt_is_a_duplicate(self) -> None:
        again = CREATED.replace(b'"delivery_attempts": 1', b'"delivery_attempts": 2')

        first, second = (
            only(self.admit(self.source(), self.signed_body(body, "application/json", b"", {})))
            for body in (CREATED, again)
        )

        assert first.dedupe_key == second.dedupe_key
