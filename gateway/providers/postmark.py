"""Postmark: nothing is signed; Basic credentials or a token stand in the URL that is registered."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import token_or_basic


def _event(kind: str, fields: str) -> Example:
    return Example(
        f'{{"RecordType": "{kind}", "ServerID": 23, "MessageStream": "outbound", "MessageID": "$id", '
        f'"Recipient": "test@example.com", "Tag": "welcome", {fields}}}'
    )


POSTMARK = Provider(
    name="postmark",
    title="Postmark",
    category="email",
    schemes=token_or_basic(),
    shapes=(
        Shape(
            when="json:RecordType",
            # A message is delivered, opened and clicked under the same id, and a link can be clicked twice in a second.
            id="json:RecordType + ':' + json:MessageID + ':' + body:sha256 | "
            "json:RecordType + ':' + json:ID + ':' + body:sha256 | body:sha256",
            type="json:RecordType",
            time="json:DeliveredAt | json:BouncedAt | json:ReceivedAt | json:ChangedAt",
            key="json:MessageID | json:Recipient | json:Email",
        ),
        Shape(id="json:MessageID", type="'Inbound'", key="json:From"),
    ),
    key_hint="user:password as in the URL https://user:password@..., or the text behind ?token= in it",
    secrets="optional",
    retry_horizon=11 * 3600.0,
    max_body=16 * MiB,
    sends={"user-agent": "Postmark"},
    examples={
        "Delivery": _event("Delivery", '"DeliveredAt": "$time", "Details": "Test delivery details"'),
        "Bounce": Example(
            '{"RecordType": "Bounce", "ID": 42, "Type": "HardBounce", "TypeCode": 1, "MessageID": "$id", '
            '"Email": "test@example.com", "BouncedAt": "$time", "Inactive": true}'
        ),
    },
    setup=(
        "Choose a user and a password, and configure them as user:password.",
        "In the message stream's Webhooks enter the source's URL with them: https://user:password@hooks.example.com/...",
    ),
    traps=(
        "Nothing is signed: whoever reads one delivery can send any other. Restrict the addresses as well.",
        "A 403 ends the retries of an inbound message, 10 over 10.5 hours; other events are tried less often.",
        "MessageID names the message and no event: each is known by its content as well.",
        "Inbound messages hold their attachments: raise max_body to 48 MiB where those of 35 MB must pass.",
    ),
    unsettled=("How long events other than inbound messages are retried.",),
    docs="https://postmarkapp.com/developer/webhooks/webhooks-overview",
)
