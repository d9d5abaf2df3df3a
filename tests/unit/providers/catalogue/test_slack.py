"""Slack: `v0:timestamp:body`; events, interactivity, commands, and the challenge."""

from gateway.providers.slack import SLACK
from tests.provider_shape import Asked, Known, ProviderShape


class TestSlack(ProviderShape):
    provider = SLACK
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"token": "z", "team_id": "T123ABC456", "api_app_id": "A1", "event": {"type": "message", '
            b'"channel": "C123ABC456", "user": "U1", "ts": "1355517523.000005"}, "type": "event_callback", '
            b'"event_id": "Ev123ABC456", "event_time": 1355517523}',
            "Ev123ABC456", "message", 1_355_517_523_000_000, "C123ABC456",
        ),
    )  # fmt: skip
    asked = (
        Asked(
            body=b'{"token": "z", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", '
            b'"type": "url_verification"}',
            signed=True,
            answer=b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",
            answer_type="text/plain",
        ),
        Asked(query=b"ssl_check=1&token=z", method="GET"),
    )
