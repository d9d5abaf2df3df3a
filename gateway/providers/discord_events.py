"""Discord webhook events: signed as interactions are, answered with an empty 204."""

from dataclasses import replace

from gateway.core.provider import Challenge, Example, MiB, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.discord import KEY_HINT, SCHEME

_RETRIES = 600.0
# Nobody says whether a retry is signed anew; a body is known by its digest, so an old copy is a duplicate.
_STAMP = None if SCHEME.timestamp is None else replace(SCHEME.timestamp, past=2 * _RETRIES, refreshed_on_retry=False)


def _event(data: str) -> Example:
    return Example(
        '{"version": 1, "application_id": "1234560123453231555", "type": 1, "event": {"type": "$type", '
        '"timestamp": "$time", "data": {' + data + "}}}"
    )


DISCORD_EVENTS = Provider(
    name="discord_events",
    title="Discord webhook events",
    category="messaging",
    schemes=(replace(SCHEME, timestamp=_STAMP),),
    shapes=(
        Shape(
            id="body:sha256",
            type="json:event.type",
            time="json:event.timestamp",
            key="json:event.data.user.id | json:event.data.user_id | json:event.data.guild.id | "
            "json:event.data.lobby_id | json:application_id",
        ),
    ),
    key_hint=KEY_HINT,
    challenges=(Challenge(when="json:type", equals="0", status=204, content_type="application/json"),),
    # An answer with a body, or without a content type, is no acknowledgement here.
    accepted=Ack(status=204),
    timeout=3.0,
    retry_horizon=_RETRIES,
    max_body=MiB,
    sends={"user-agent": "Discord-Webhook/1.0 (+https://discord.com)"},
    examples={
        "APPLICATION_AUTHORIZED": _event(
            '"integration_type": 1, "scopes": ["applications.commands"], "user": {"id": "$id", "username": "test"}'
        ),
        "ENTITLEMENT_CREATE": _event('"id": "$id", "sku_id": "1234561234567890123", "user_id": "123456123456789012"'),
    },
    setup=(
        "Configure the application's public key first: Discord sends a PING and wrong signatures when it is saved.",
        "Under Webhooks enter the source's URL as the endpoint, turn Events on, and choose them.",
    ),
    traps=(
        "PING and events are answered with an empty 204 and a content type; a 200 with a body is refused.",
        "A wrong signature must get a 401: Discord probes with such, and removes a URL that accepts them.",
        "Events have no id and come in no order: a body is known by its digest.",
        "This is another URL than that for interactions: configure a source for each.",
    ),
    unsettled=("Whether a retry is signed with a new timestamp; the tolerance spans the 10 minutes of retries.",),
    docs="https://docs.discord.com/developers/events/webhook-events",
)
