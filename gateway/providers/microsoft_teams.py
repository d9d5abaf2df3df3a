"""Microsoft Teams outgoing webhooks: the raw body signed, the signature as the Authorization header."""

from gateway.core.provider import Example, Key, MiB, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import signed_body

MICROSOFT_TEAMS = Provider(
    name="microsoft_teams",
    title="Microsoft Teams outgoing webhook",
    category="messaging",
    schemes=(signed_body("authorization", prefix="HMAC ", encoding="base64", key=Key(encoding="base64")),),
    shapes=(
        Shape(
            id="json:conversation.id + '/' + json:id | json:id | body:sha256",
            type="json:type",
            time="json:timestamp",
            key="json:conversation.id",
        ),
    ),
    key_hint="the security token shown once when the webhook is created (base64)",
    # The answer is posted as a reply to the person who wrote; Teams shows an error where there is none.
    accepted=Ack(body=b'{"type": "message", "text": "Received."}'),
    timeout=5.0,
    max_body=MiB,
    sends={"user-agent": "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)"},
    examples={
        "message": Example(
            '{"type": "message", "id": "$id", "timestamp": "$time", "serviceUrl": "https://smba.example.com/emea/", '
            '"channelId": "msteams", "from": {"id": "29:1XJKJMvc5GBtc2JwZq0oj8tH", "name": "Test"}, '
            '"conversation": {"id": "19:253b1f341670408fb6fe51050b6e5ceb@thread.skype;messageid=1485983194839"}, '
            '"text": "<at>Test</at> Hello", "textFormat": "plain"}'
        ),
    },
    setup=(
        "In the team, under Manage team > Apps, create an outgoing webhook with the source's URL.",
        "Configure the security token that appears; it is shown once.",
    ),
    traps=(
        "The token is base64: its bytes are the key, not its text.",
        "The answer is a message that everyone in the channel sees, and it is always the same here: Received.",
        "An outgoing webhook cannot write later: to answer in earnest, use an incoming webhook or a bot.",
        "Answers are due within 5 s, and nothing is sent again.",
        "This is no Bot Framework endpoint: those send a token of Microsoft's instead.",
    ),
    unsettled=("Whether Teams ever sends a message twice.",),
    docs="https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-outgoing-webhook",
)
