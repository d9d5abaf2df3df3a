"""Discord: interactions are deferred, webhook events answered with nothing; both probe with wrong signatures."""

from gateway.core.admission import Rejected
from gateway.providers.discord import DISCORD
from gateway.providers.discord_events import DISCORD_EVENTS
from tests.admitting import delivered
from tests.keys import ED25519, ed25519_raw, other_ed25519
from tests.provider_shape import Asked, Known, ProviderShape

COMMAND = (
    b'{"application_id": "658822586720976907", "channel_id": "938391701561679903", "data": {"id": '
    b'"870616445036421159", '
    b'"name": "ping", "type": 1}, "guild_id": "561884984214814744", "id": "938421734825140264", "type": 2, '
    b'"version": 1}'
)
MODAL = (
    b'{"id": "846462639134605312", "type": 5, "user": {"id": "53908232506183680"}, "data": {"custom_id": "cool_modal"}}'
)
AUTHORIZED = (
    b'{"version": 1, "application_id": "1234560123453231555", "type": 1, "event": {"type": "APPLICATION_AUTHORIZED", '
    b'"timestamp": "2024-10-18T14:42:53.064834", "data": {"integration_type": 1, "scopes": ["applications.commands"], '
    b'"user": {"id": "1234567890123456789", "username": "example"}}}}'
)


class _Signed(ProviderShape):
    secret = ED25519
    other = other_ed25519()
    covers = frozenset({"body", "x-signature-timestamp"})

    def test_the_key_from_the_application_s_page_verifies(self) -> None:
        public = self.source(ed25519_raw(ED25519).hex())
        signed = self.genuine()

        assert public.sign is None
        assert not isinstance(self.admit(public, delivered(signed)), Rejected)


class TestDiscord(_Signed):
    provider = DISCORD
    known = (
        Known(COMMAND, "938421734825140264", "interaction.2.ping", None, "938391701561679903", name="a command"),
        Known(MODAL, "846462639134605312", "interaction.5.cool_modal", None, "53908232506183680", name="a modal"),
    )
    asked = (
        Asked(body=b'{"type": 1, "id": "1", "version": 1}', signed=True, answer=b'{"type":1}',
              answer_type="application/json", name="PING"),
    )  # fmt: skip

    def test_a_command_is_answered_with_a_deferred_message(self) -> None:
        accepted = self.source().accepted

        assert accepted is not None
        assert (accepted.status, accepted.body, accepted.content_type) == (200, b'{"type":5}', "application/json")


class TestDiscordEvents(_Signed):
    provider = DISCORD_EVENTS
    known = (Known(AUTHORIZED, None, "APPLICATION_AUTHORIZED", 1_729_262_573_064_834, "1234567890123456789"),)
    asked = (
        Asked(body=b'{"version": 1, "application_id": "1234560123453231555", "type": 0}', signed=True, status=204,
              answer=b"", answer_type="application/json", name="PING"),
    )  # fmt: skip

    def test_an_event_is_answered_with_nothing_but_a_content_type(self) -> None:
        accepted = self.source().accepted

        assert accepted is not None
        assert (accepted.status, accepted.body, accepted.content_type) == (204, b"", "application/json")
