"""Pipedrive: Basic authentication alone; the attempts count in the body."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import basic_auth


def _event(action: str) -> Example:
    return Example(
        '{"meta": {"action": "' + action + '", "entity": "deal", "entity_id": "7", "company_id": "1", "id": "$id", '
        '"correlation_id": "$id", "version": "2.0", "webhook_id": "12", "timestamp": "$time", "attempt": 1}, '
        '"data": {"id": 7, "title": "New deal", "value": 500}, "previous": null}'
    )


_OF = "json:meta.webhook_id + ':' + json:meta.id + ':' + json:meta.action + ':' + json:meta."

PIPEDRIVE = Provider(
    name="pipedrive",
    title="Pipedrive",
    category="crm",
    schemes=(basic_auth(),),
    shapes=(
        Shape(
            when="json:meta.entity",
            id=f"{_OF}entity + ':' + json:meta.entity_id + ':' + json:meta.timestamp | body:sha256",
            type="json:meta.action + '.' + json:meta.entity",
            time="json:meta.timestamp",
            key="json:meta.entity + ':' + json:meta.entity_id",
        ),
        # Version 1, where `meta.id` is the object's.
        Shape(
            id=f"{_OF}object + ':' + json:meta.timestamp_micro | body:sha256",
            type="json:event",
            time="json:meta.timestamp",
            key="json:meta.object + ':' + json:meta.id",
        ),
    ),
    key_hint="user:password of Basic authentication, as given to the webhook (http_auth_user, http_auth_password)",
    timeout=10.0,
    # After 3, 30 and 150 seconds.
    retry_horizon=600.0,
    max_body=4 * MiB,
    sends={"user-agent": "Pipedrive Webhooks"},
    examples={"create.deal": _event("create"), "change.deal": _event("change")},
    setup=(
        "Under Tools and apps > Webhooks make one (version 2) with the source's URL, an HTTP Auth user and password.",
        "Configure user:password here.",
        "Set on_conflict: skip at the source, since each attempt has its number in the body.",
    ),
    traps=(
        "Nothing is signed: only HTTPS and the password keep what is sent.",
        "meta.attempt changes with every retry, so that a retry has another body under the same id.",
        "One change may come as several events with one correlation_id: it is no id of theirs.",
        "Ten first attempts that fail suspend the webhook for 30 minutes; three days without success delete it.",
    ),
    unsettled=("Whether meta.id is an event's own: entity, action and time stand beside it in the id.",),
    docs="https://pipedrive.readme.io/docs/guide-for-webhooks-v2",
)
