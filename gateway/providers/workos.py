"""WorkOS: `t=MILLISECONDS, v1=SIGNATURE` over time, dot and body."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import stamped_list


def _example(data: str) -> Example:
    return Example('{"id": "$id", "event": "$type", "data": ' + data + ', "created_at": "$time", "context": {}}')


WORKOS = Provider(
    name="workos",
    title="WorkOS",
    category="identity",
    # The libraries' tolerance is 180 s, in both directions.
    schemes=(stamped_list("workos-signature", unit="ms", tolerance=180.0, split=", "),),
    shapes=(Shape(id="json:id", type="json:event", time="json:created_at", key="json:data.id"),),
    key_hint="the endpoint's signing secret, under Developer > Webhooks > the endpoint",
    body_varies=True,
    retry_horizon=3 * DAY,
    sends={"user-agent": "WorkOS Webhooks"},
    examples={
        "user.created": _example('{"object": "user", "id": "user_test", "email": "test@example.com"}'),
        "dsync.user.created": _example(
            '{"object": "directory_user", "id": "directory_user_test", "directory_id": "directory_test"}'
        ),
        "connection.activated": _example('{"object": "connection", "id": "conn_test", "state": "active"}'),
    },
    setup=(
        "Under Developer > Webhooks create an endpoint with the source's URL and choose its events.",
        "Configure the endpoint's signing secret as it stands there.",
    ),
    traps=(
        "The time counts in milliseconds.",
        "Between time and signature stands a comma and a blank.",
        "Events do not come in order; the Events API gives them in order.",
    ),
    unsettled=("For how long deliveries are tried again.",),
    docs="https://workos.com/docs/events/data-syncing/webhooks",
)
