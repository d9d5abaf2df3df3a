"""Telegram bots: a shared token in a header, one update in each delivery."""

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import shared_token


def _update(kind: str, chat: str, *, first: str, time: str = "date") -> Shape:
    """An update, known by which object it holds; `first` is a field that such an object always has."""
    return Shape(
        when=f"json:{kind}.{first}",
        id="json:update_id",
        type=f"'{kind}'",
        time=f"json:{kind}.{time}",
        key=f"json:{kind}.{chat} | json:{kind}.from.id | json:{kind}.user.id",
    )


_CHAT = "chat.id"

TELEGRAM = Provider(
    name="telegram",
    title="Telegram",
    category="messaging",
    schemes=(shared_token("x-telegram-bot-api-secret-token"),),
    shapes=(
        *(
            _update(kind, _CHAT, first="message_id")
            for kind in ("message", "channel_post", "business_message", "message_reaction", "message_reaction_count")
        ),
        *(
            _update(kind, _CHAT, first="message_id", time="edit_date")
            for kind in ("edited_message", "edited_channel_post", "edited_business_message")
        ),
        _update("callback_query", "message.chat.id", first="id"),
        *(_update(kind, _CHAT, first="chat.id") for kind in ("my_chat_member", "chat_member", "chat_join_request")),
        *(_update(kind, _CHAT, first="chat.id") for kind in ("chat_boost", "removed_chat_boost")),
        *(_update(kind, _CHAT, first="business_connection_id") for kind in ("deleted_business_messages",)),
        *(
            _update(kind, "from.id", first="id")
            for kind in ("inline_query", "shipping_query", "pre_checkout_query", "business_connection")
        ),
        _update("chosen_inline_result", "from.id", first="result_id"),
        _update("poll", "id", first="id"),
        _update("poll_answer", "poll_id", first="poll_id"),
        Shape(id="json:update_id"),
    ),
    key_hint="the secret_token that you gave setWebhook (1 to 256 of A-Z, a-z, 0-9, _ and -); not the bot's token",
    # What stands in an answer may be taken for a call of the Bot API.
    accepted=Ack(body=b"", content_type="text/plain"),
    retry_horizon=DAY,
    max_body=MiB,
    examples={
        "message": Example(
            '{"update_id": "$id", "message": {"message_id": 1365, "date": $time_s, "chat": {"id": 1111111, "type": '
            '"private", "first_name": "Test"}, "from": {"id": 1111111, "first_name": "Test"}, "text": "/start"}}'
        ),
        "callback_query": Example(
            '{"update_id": "$id", "callback_query": {"id": "4382bfdwdsb323b2d9", "from": {"id": 1111111, "first_name": '
            '"Test"}, "data": "approve", "message": {"message_id": 1365, "date": $time_s, "chat": {"id": 1111111}}}}'
        ),
    },
    setup=(
        "Choose a secret token and configure it here.",
        "Call setWebhook with the source's URL, the same secret_token, and allowed_updates for what you want.",
        "Telegram calls at ports 443, 80, 88 and 8443 alone.",
    ),
    traps=(
        "The token is no signature: whoever reads one delivery can send any other.",
        "update_id counts per bot: give each bot a source of its own.",
        "Updates that nobody accepts are dropped after 24 hours; reactions and members come only if asked for.",
        "A method call in the answer's body is not served: call the Bot API instead.",
    ),
    unsettled=("How often Telegram retries ('a reasonable amount of attempts'), and after how long it gives up.",),
    docs="https://core.telegram.org/bots/api#setwebhook",
)
