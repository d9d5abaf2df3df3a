"""Microsoft Teams: the signature as Authorization, a base64 key, an answer that people see."""

import base64

import msgspec
import pytest

from gateway.providers.microsoft_teams import MICROSOFT_TEAMS
from tests.provider_shape import Known, ProviderShape

MESSAGE = (
    b'{"type": "message", "id": "1485983408511", "timestamp": "2017-02-01T21:10:07.437Z", "channelId": "msteams", '
    b'"from": '
    b'{"id": "29:1XJKJMvc5GBtc2JwZq0oj8tHZmzrQgFmB39ATiQWA85g", "name": "Test"}, "conversation": {"id": '
    b'"19:253b1f341670408fb6fe51050b6e5ceb@thread.skype;messageid=1485983194839"}, "text": "<at>Bot</at> hi"}'
)
THREAD = "19:253b1f341670408fb6fe51050b6e5ceb@thread.skype;messageid=1485983194839"


class TestMicrosoftTeams(ProviderShape):
    provider = MICROSOFT_TEAMS
    secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    other = base64.b64encode(b"another key of thirty-two bytes!").decode()
    known = (Known(MESSAGE, f"{THREAD}/1485983408511", "message", 1_485_983_407_437_000, THREAD),)

    def test_a_token_that_is_not_base64_is_refused(self) -> None:
        with pytest.raises(ValueError, match="base64"):
            self.source("not base64!")

    def test_the_answer_is_a_message(self) -> None:
        accepted = self.source().accepted

        assert accepted is not None
        assert msgspec.json.decode(accepted.body) == {"type": "message", "text": "Received."}
