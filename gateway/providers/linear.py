"""Linear: the body signed by HMAC-SHA256, with the time of sending in it."""

from gateway.core.provider import Example, Mac, MiB, Provider, Scheme, Shape, Timestamp

_RETRIES = 8 * 3600.0
_OF = "json:webhookId + ':' + json:type + ':' + json:action + ':' + json:{} + ':' + json:createdAt"
# What an event is about: a prompt of a running agent's session comes before the session, which it tells again.
_ABOUT = ("data.id", "notification.id", "agentActivity.id", "agentSession.id", "issueData.id", "oauthClientId")

LINEAR = Provider(
    name="linear",
    title="Linear",
    category="developer",
    schemes=(
        Scheme(
            header="linear-signature",
            macs=(Mac(),),
            # Linear's library takes a minute. A longer time lets no copy in, since the id is signed and remembered.
            timestamp=Timestamp(json="webhookTimestamp", unit="ms", past=_RETRIES, future=60.0),
        ),
    ),
    shapes=(
        Shape(
            # The header tells deliveries apart, but is not signed, and `webhookTimestamp` changes with each attempt.
            id=" | ".join((*map(_OF.format, _ABOUT), "header:linear-delivery")),
            type="json:type + '.' + json:action | json:type",
            time="json:createdAt",
            key="json:data.id | json:notification.id | json:agentSession.id | json:issueData.id | json:organizationId",
        ),
    ),
    key_hint="the webhook's signing secret (lin_wh_...), from Settings > API > the webhook",
    body_varies=True,
    timeout=5.0,
    # 1 minute, 1 hour, 6 hours.
    retry_horizon=_RETRIES,
    max_body=4 * MiB,
    keep_headers=("linear-delivery", "linear-event"),
    sends={"linear-delivery": "{id}", "linear-event": "{event}", "user-agent": "Linear-Webhook"},
    examples={
        "Issue.create": Example(
            '{"action": "create", "type": "Issue", "createdAt": "$time", "data": {"id": "$id", '
            '"title": "It breaks", "number": 1}, "organizationId": "org_test", "webhookTimestamp": ${time_s}000, '
            '"webhookId": "webhook_test"}'
        ),
        "Comment.create": Example(
            '{"action": "create", "type": "Comment", "createdAt": "$time", "data": {"id": "$id", '
            '"body": "So it does", "issueId": "2174add1-f7c8-44e3-bbf3"}, "organizationId": "org_test", '
            '"webhookTimestamp": ${time_s}000, "webhookId": "webhook_test"}'
        ),
    },
    setup=(
        "In Settings > API make a webhook with the source's URL, and choose its resources.",
        "Copy its signing secret and configure it here.",
    ),
    traps=(
        "The delivery's id is an unsigned header: the id here is what the payload is about, and when it was made.",
        "The time stands in the body in milliseconds, and tells when this attempt was sent.",
        "Only 200 counts as success, and a webhook that goes on failing is disabled.",
        "A delivery without webhookTimestamp is refused here, which Linear's own library would take.",
    ),
    unsettled=(
        "Whether Linear-Delivery stays the same on a retry; only events without an object of their own use it.",
    ),
    docs="https://linear.app/developers/webhooks",
)
