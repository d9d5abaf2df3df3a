"""LINE: base64 over the body; batches that may be empty; redeliveries with another body."""

from dataclasses import replace

from gateway.providers.line import LINE
from tests.admitting import delivered, events, only
from tests.provider_shape import Batch, Known, ProviderShape

MESSAGE = (
    b'{"type": "message", "message": {"type": "text", "id": "14353798921116", "text": "Hello, world"}, "timestamp": '
    b'1625665242211, "source": {"type": "user", "userId": "U80696558e1aa831"}, "replyToken": '
    b'"757913772c4646b784d4b7ce", '
    b'"mode": "active", "webhookEventId": "01FZ74A0TDDPYRVKNK77XKC3ZR", "deliveryContext": {"isRedelivery": false}}'
)
JOIN = (
    b'{"type": "join", "timestamp": 1462629479859, "source": {"type": "group", "groupId": "C4af4980629"}, '
    b'"webhookEventId": "01FZ74ASS536FW97EX38NKCZQK", "deliveryContext": {"isRedelivery": false}}'
)
BODY = b'{"destination": "xxxxxxxxxx", "events": [%s]}'


class TestLine(ProviderShape):
    provider = LINE
    known = (Known(BODY % MESSAGE, "01FZ74A0TDDPYRVKNK77XKC3ZR", "message", 1_625_665_242_211_000, "U80696558e1aa831"),)
    batches = (
        Batch(
            BODY % b", ".join((MESSAGE, JOIN)),
            ("01FZ74A0TDDPYRVKNK77XKC3ZR", "01FZ74ASS536FW97EX38NKCZQK"),
            ("message", "join"),
            (MESSAGE, JOIN),
        ),
    )

    def test_the_verify_button_s_empty_array_is_acknowledged(self) -> None:
        signed = self.sign(replace(self.example(), body=BODY % b""))

        assert events(self.admit(self.source(), delivered(signed))) == ()

    def test_a_redelivery_says_so_and_is_a_duplicate(self) -> None:
        redelivered = MESSAGE.replace(b"false", b"true")

        first, second = (
            only(self.admit(self.source(), self.signed_body(BODY % event, "application/json", b"", {})))
            for event in (MESSAGE, redelivered)
        )

        assert first.dedupe_key == second.dedupe_key
        assert first.headers == {"line-destination": "xxxxxxxxxx"}
