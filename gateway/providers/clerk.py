"""Clerk: Svix, with its headers."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers import standard_webhooks


def _example(data: str) -> Example:
    return Example(
        '{"data": ' + data + ', "instance_id": "ins_test", "object": "event", "timestamp": ${time_s}000, '
        '"type": "$type"}'
    )  # fmt: skip


CLERK = Provider(
    name="clerk",
    title="Clerk",
    category="identity",
    schemes=(standard_webhooks.scheme("svix"),),
    shapes=(
        Shape(
            id="header:@id",
            type="json:type",
            time="json:timestamp",
            time_unit="ms",
            key="json:data.user_id | json:data.id",
        ),
    ),
    key_hint="the endpoint's signing secret (whsec_ and base64), under Configure > Webhooks > the endpoint",
    timeout=15.0,
    # Svix's schedule: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
    retry_horizon=28 * 3_600.0,
    redelivery_horizon=90 * 86_400.0,
    keep_headers=("svix-id", "svix-timestamp"),
    sends={"@id": "{id}", "user-agent": "Svix-Webhooks/1.0"},
    examples={
        "user.created": _example(
            '{"id": "user_test", "object": "user", "email_addresses": [{"email_address": "test@example.com"}]}'
        ),
        "session.created": _example('{"id": "sess_test", "object": "session", "user_id": "user_test"}'),
    },
    setup=(
        "Under Configure > Webhooks add an endpoint with the source's URL and choose its events.",
        "Configure the endpoint's signing secret whole, whsec_ included.",
    ),
    traps=(
        "Each endpoint and each instance (development, production) has a secret of its own.",
        "Events may come in any order: user.updated before user.created, for one.",
        "The body has no id: it stands in svix-id, which is signed.",
    ),
    unsettled=("For how long a message can be sent again by hand: the 90 days for which Svix keeps it are assumed.",),
    docs="https://clerk.com/docs/webhooks/overview",
)
