"""Twitch EventSub: id, timestamp and body signed; the challenge; revocations as events of their own."""

from gateway.providers.twitch import TWITCH
from tests.admitting import delivered, only
from tests.provider_shape import Asked, Known, ProviderShape

SUBSCRIPTION = (
    b'"subscription": {"id": "f1c2a387-161a-49f9-a165-0f21d7a4e1c4", "type": "channel.follow", "version": "1", '
    b'"status": '
    b'"%s", "cost": 0, "condition": {"broadcaster_user_id": "12826"}, "created_at": "2019-11-16T10:11:12.634234626Z"}'
)
FOLLOW = b"{" + SUBSCRIPTION % b"enabled" + b', "event": {"user_id": "1337", "user_name": "Awesome_User"}}'
REVOKED = b"{" + SUBSCRIPTION % b"authorization_revoked" + b"}"
PENDING = SUBSCRIPTION % b"webhook_callback_verification_pending"


class TestTwitch(ProviderShape):
    provider = TWITCH
    covers = frozenset({"body", "twitch-eventsub-message-timestamp", "twitch-eventsub-message-id"})
    known = (
        Known(FOLLOW, "sent", "channel.follow", 1_700_000_000_000_000, "12826"),
        Known(REVOKED, "sent", "revocation.channel.follow", 1_700_000_000_000_000, "12826", name="a revocation"),
    )
    asked = (
        Asked(
            body=b'{"challenge": "pogchamp-kappa-360noscope-vohiyo", ' + PENDING + b"}",
            sent={"twitch-eventsub-message-type": "webhook_callback_verification"},
            signed=True,
            answer=b"pogchamp-kappa-360noscope-vohiyo",
            answer_type="text/plain",
        ),
    )

    def test_an_unsigned_message_type_makes_no_revocation_of_an_event(self) -> None:
        altered = delivered(self.genuine(), **{"twitch-eventsub-message-type": "revocation"})

        assert only(self.admit(self.source(), altered)).type == "channel.follow"
