"""LINE: the raw body signed in base64; events in an array that may be empty."""

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _event(fields: str) -> Example:
    return Example(
        '{"destination": "U0123456789abcdef0123456789abcdef", "events": [{"type": "$type", "mode": "active", '
        '"timestamp": ${time_s}000, "source": {"type": "user", "userId": "U4af4980629"}, "webhookEventId": "$id", '
        '"deliveryContext": {"isRedelivery": false}' + fields + "}]}"
    )


LINE = Provider(
    name="line",
    title="LINE",
    category="messaging",
    schemes=(signed_body("x-line-signature", encoding="base64"),),
    shapes=(
        Shape(
            split="events[*]",
            id="json:webhookEventId",
            type="json:type",
            time="json:timestamp",
            time_unit="ms",
            key="json:source.groupId | json:source.roomId | json:source.userId",
            context={"line-destination": "root:destination"},
        ),
    ),
    key_hint="the channel secret, under Basic settings; not the channel access token",
    # A redelivery says so in the event itself.
    body_varies=True,
    timeout=2.0,
    retry_horizon=DAY,
    max_body=MiB,
    sends={"user-agent": "LineBotWebhook/2.0"},
    examples={
        "message": _event(
            ', "replyToken": "nHuyWiB7yP5Zw52FIkcQobQuGDXCTA", "message": {"id": "444573844083572737", "type": "text", '
            '"text": "Hello"}'
        ),
        "follow": _event(', "replyToken": "85cbe770fa8b4f45bbe077b1d4be4a36", "follow": {"isUnblocked": false}'),
    },
    setup=(
        "Configure the channel secret, then under Messaging API enter the source's URL and press Verify.",
        "Turn on Use webhook, and Webhook redelivery beside it: without it a failed delivery is lost.",
    ),
    traps=(
        "The Verify button sends an empty array: it is answered 200 and nothing is stored.",
        "A redelivery has another body (isRedelivery), so that the event's id alone makes it a duplicate.",
        "A reply token is good for a minute or so and once: reply by push where handlers may lag.",
        "LINE gives up after about 2 s, and does not retry unless Webhook redelivery is on.",
    ),
    unsettled=("For how long LINE redelivers, which its pages leave open on purpose; 24 h are assumed.",),
    docs="https://developers.line.biz/en/docs/messaging-api/receiving-messages/",
)
