"""Telegram: a token in a header; the kind of update is the object that it holds."""

import pytest

from gateway.providers.telegram import TELEGRAM
from tests.admitting import only
from tests.provider_shape import Known, ProviderShape

MESSAGE = (
    b'{"update_id": 10000, "message": {"date": 1441645532, "chat": {"last_name": "Test Lastname", "id": 1111111, '
    b'"type": '
    b'"private"}, "message_id": 1365, "from": {"id": 1111111, "first_name": "Test"}, "text": "/start"}}'
)
EDITED = (
    b'{"update_id": 10001, "edited_message": {"date": 1441645532, "edit_date": 1441646600, "chat": {"id": -100}, '
    b'"message_id": 1365, "text": "Edited text"}}'
)
CALLBACK = (
    b'{"update_id": 10002, "callback_query": {"id": "4382bfdwdsb323b2d9", "from": {"id": 7}, "data": "Data", '
    b'"message": {"message_id": 1, "date": 1441645532, "chat": {"id": 55}}}}'
)
INLINE = (
    b'{"update_id": 10003, "inline_query": {"id": "134567890097", "from": {"id": 1111111}, "query": "q", "offset": ""}}'
)
UNKNOWN = b'{"update_id": 10004, "managed_something": {"x": 1}}'


class TestTelegram(ProviderShape):
    provider = TELEGRAM
    secret = "a-test_secret"
    covers = frozenset({"x-telegram-bot-api-secret-token"})
    known = (
        Known(MESSAGE, "10000", "message", 1_441_645_532_000_000, "1111111"),
        Known(EDITED, "10001", "edited_message", 1_441_646_600_000_000, "-100"),
        Known(CALLBACK, "10002", "callback_query", None, "55"),
        Known(INLINE, "10003", "inline_query", None, "1111111"),
    )

    def test_an_update_of_a_kind_that_nobody_knows_yet_is_kept(self) -> None:
        event = only(self.admit(self.source(), self.signed_body(UNKNOWN, "application/json", b"", {})))

        assert (event.id, event.type) == ("10004", "unknown")

    @pytest.mark.parametrize(
        "update, kind",
        [
            (b'"channel_post": {"message_id": 1, "date": 1, "chat": {"id": 2}}', "channel_post"),
            (b'"my_chat_member": {"chat": {"id": 2}, "date": 1, "from": {"id": 3}}', "my_chat_member"),
            (b'"pre_checkout_query": {"id": "1", "from": {"id": 3}, "currency": "XTR"}', "pre_checkout_query"),
            (b'"poll": {"id": "9", "question": "?"}', "poll"),
            (b'"poll_answer": {"poll_id": "9", "user": {"id": 3}}', "poll_answer"),
            (b'"chosen_inline_result": {"result_id": "9", "from": {"id": 3}}', "chosen_inline_result"),
            (b'"message_reaction": {"chat": {"id": 2}, "message_id": 5, "date": 1}', "message_reaction"),
            (b'"chat_boost": {"chat": {"id": 2}, "boost": {}}', "chat_boost"),
        ],
    )
    def test_the_object_that_an_update_holds_is_its_type(self, update: bytes, kind: str) -> None:
        body = b'{"update_id": 1, ' + update + b"}"

        assert only(self.admit(self.source(), self.signed_body(body, "application/json", b"", {}))).type == kind
