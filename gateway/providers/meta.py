"""Meta: Facebook, Instagram, Messenger and WhatsApp; the raw body signed, events nested in `entry`."""

from collections.abc import Mapping

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import VERIFY_TOKEN, hub_challenge, signed_body

# An entry's id and time make two equal changes two events: a change alone may hold nothing that tells them apart.
_DIGEST = "outer:id + ':' + outer:time + ':' + body:sha256 | outer:id + ':' + body:sha256 | body:sha256"
_CONTEXT: Mapping[str, str] = {
    "meta-object": "root:object",
    "meta-entry-id": "outer:id",
    "meta-entry-time": "outer:time",
}


def _messaging(array: str) -> Shape:
    """Messenger's and Instagram's conversations: times in milliseconds."""
    first = f"json:entry[0].{array}[0]"
    return Shape(
        when=f"{first}.timestamp | {first}.sender.id",
        split=f"entry[*].{array}[*]",
        # A deletion tells the id of the message that it deletes, so the time belongs to the id.
        # Where both ends are yours, one message comes under each one's entry: as sent, and as received.
        id="outer:id + ':' + json:message.mid + ':' + json:timestamp | "
        "outer:id + ':' + json:postback.mid + ':' + json:timestamp | " + _DIGEST,
        type=f"root:object + '.{array}'",
        time="json:timestamp",
        time_unit="ms",
        key="outer:id + ':' + json:sender.id | outer:id",
        context=_CONTEXT,
    )


_CHANGES = Shape(
    split="entry[*].changes[*]",
    id="json:field + ':' + json:value.messages[0].id | json:field + ':' + json:value.statuses[0].id + ':' + "
    "json:value.statuses[0].status + ':' + json:value.statuses[0].timestamp | "
    "json:field + ':' + json:value.leadgen_id | " + _DIGEST,
    type="root:object + '.' + json:field | root:object | json:object",
    time="json:value.messages[0].timestamp | json:value.statuses[0].timestamp | json:value.created_time | outer:time",
    key="outer:id + ':' + json:value.messages[0].from | outer:id + ':' + json:value.statuses[0].recipient_id | "
    "outer:id + ':' + json:value.from.id | outer:id",
    context=_CONTEXT,
)

META = Provider(
    name="meta",
    title="Meta (Facebook, Instagram, Messenger, WhatsApp)",
    category="messaging",
    schemes=(signed_body("x-hub-signature-256", prefix="sha256="),),
    shapes=(_messaging("messaging"), _messaging("standby"), _CHANGES),
    key_hint="the app secret, under App settings > Basic; the verify token is another thing, see its setting",
    settings={"verify_token": VERIFY_TOKEN},
    challenges=(hub_challenge("subscribe"),),
    methods=("POST", "GET"),
    retry_horizon=7 * DAY,
    max_body=4 * MiB,
    sends={"user-agent": "facebookexternalua"},
    examples={
        "page.feed": Example(
            '{"object": "page", "entry": [{"id": "1067280970047460", "time": $time_s, "changes": [{"field": "feed", '
            '"value": {"item": "status", "verb": "add", "post_id": "1067280970047460_$id", "message": "Hello", '
            '"from": {"id": "1067280970047461", "name": "Example"}, "created_time": $time_s}}]}]}'
        ),
        "page.messaging": Example(
            '{"object": "page", "entry": [{"id": "1067280970047460", "time": ${time_s}000, "messaging": [{"sender": '
            '{"id": "6432135"}, "recipient": {"id": "1067280970047460"}, "timestamp": ${time_s}000, "message": '
            '{"mid": "$id", "text": "Hello"}}]}]}'
        ),
        "whatsapp_business_account.messages": Example(
            '{"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{"value": '
            '{"messaging_product": "whatsapp", "metadata": {"display_phone_number": "15550783881", "phone_number_id": '
            '"106540352242922"}, "messages": [{"from": "16505551234", "id": "$id", "timestamp": "$time_s", "type": '
            '"text", "text": {"body": "Hello"}}]}, "field": "messages"}]}]}'
        ),
    },
    setup=(
        "Choose a verify token of your own and configure it as settings.verify_token; configure the app secret.",
        "In the app's dashboard, under Webhooks (or WhatsApp > Configuration), enter the source's URL and that token.",
        "Subscribe to the fields; pages and numbers must be subscribed to the app as well.",
    ),
    traps=(
        "The verify token answers the GET at set-up alone; deliveries are signed with the app secret.",
        "The body escapes everything beyond ASCII: what is parsed and written again has another signature.",
        "One delivery holds up to 1000 changes in nested arrays; each is an event, with its entry's id in headers.",
        "There is no id of the delivery: messages are known by theirs, and other changes by entry, time and content.",
        "A WhatsApp change may hold several messages or statuses; it stays one event, known by the first.",
    ),
    unsettled=(
        "How long Meta retries beside WhatsApp's 7 days, and after how long it gives up on an answer.",
        "Whether a retry may put a change into another entry; it would then be taken for another event.",
    ),
    docs="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
)
