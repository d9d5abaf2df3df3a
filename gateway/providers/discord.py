"""Discord interactions: Ed25519 over timestamp and body; every answer is seen, so commands are deferred."""

from gateway.core.provider import Challenge, Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp
from gateway.core.source import Ack

SCHEME = Scheme(
    header="x-signature-ed25519",
    message=("timestamp", "body"),
    macs=(Mac(algorithm="ed25519", key=Key(encoding="hex"), encoding="hex"),),
    timestamp=Timestamp(header="x-signature-timestamp"),
)

KEY_HINT = "the application's public key (64 hex digits), under General Information"


def _interaction(kind: int, data: str) -> Example:
    return Example(
        f'{{"id": "$id", "application_id": "658822586720976907", "type": {kind}, "token": "test", "version": 1, '
        f'"guild_id": "561884984214814744", "channel_id": "938391701561679903", "data": {{{data}}}, '
        '"member": {"user": {"id": "115590097100865541", "username": "test"}}}'
    )


DISCORD = Provider(
    name="discord",
    title="Discord interactions",
    category="messaging",
    schemes=(SCHEME,),
    shapes=(
        Shape(
            id="json:id",
            type="'interaction.' + json:type + '.' + json:data.name | "
            "'interaction.' + json:type + '.' + json:data.custom_id | 'interaction.' + json:type",
            key="json:channel_id | json:channel.id | json:guild_id | json:user.id",
        ),
    ),
    key_hint=KEY_HINT,
    challenges=(Challenge(when="json:type", equals="1", template='{"type":1}', content_type="application/json"),),
    # "Thinking ...": the handler then edits the answer through the interaction's token, within 15 minutes.
    accepted=Ack(body=b'{"type":5}'),
    timeout=3.0,
    max_body=MiB,
    sends={"user-agent": "Discord-Interactions/1.0 (+https://discord.com)"},
    examples={
        "interaction.2.deploy": _interaction(2, '"id": "870616445036421159", "name": "deploy", "type": 1'),
        "interaction.3.approve": _interaction(3, '"custom_id": "approve", "component_type": 2'),
    },
    setup=(
        "Configure the application's public key first: Discord sends a PING and wrong signatures when it is saved.",
        "Under General Information enter the source's URL as the Interactions Endpoint URL.",
        "Let a handler finish each command: PATCH /webhooks/APPLICATION_ID/TOKEN/messages/@original.",
    ),
    traps=(
        "Every interaction is answered with a deferred message (type 5), since handlers run after the answer.",
        "Autocomplete (type 4) wants its choices in the answer itself, so it cannot be served here.",
        "The answer cannot be a modal or private to the user either: those, too, must come at once.",
        "A wrong signature must get a 401: Discord probes with such, and removes a URL that accepts them.",
        "The body holds a token that may answer for 15 minutes: treat stored bodies as credentials for that long.",
        "An interaction is never sent again.",
    ),
    docs="https://discord.com/developers/docs/interactions/receiving-and-responding",
)
