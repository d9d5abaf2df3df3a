"""Front's application webhooks: `timestamp:body` in base64, the time in milliseconds."""

from gateway.core.provider import Challenge, Example, Mac, MiB, Provider, Scheme, Shape, Timestamp


def _event(conversation: str) -> Example:
    return Example(
        '{"type": "$type", "authorization": {"id": "cmp_abc"}, "payload": {"id": "$id", "emitted_at": $time_s.5, '
        '"conversation": {"id": "' + conversation + '", "subject": "Hello", "status": "assigned"}}}'
    )


FRONT = Provider(
    name="front",
    title="Front",
    category="crm",
    schemes=(
        Scheme(
            header="x-front-signature",
            message=("timestamp", ":", "body"),
            macs=(Mac(encoding="base64"),),
            timestamp=Timestamp(header="x-front-request-timestamp", unit="ms"),
        ),
    ),
    shapes=(
        Shape(
            id="json:payload.id | body:sha256",
            type="json:type",
            time="json:payload.emitted_at",
            key="json:payload.conversation.id | json:authorization.id",
        ),
    ),
    key_hint="the app's signing key, under Developers > the app > Basic information",
    challenges=(
        Challenge(
            when="json:type",
            equals="sync",
            answer="header:x-front-challenge",
            template='{"challenge": {}}',
            content_type="application/json",
        ),
    ),
    retry_horizon=3_600.0,
    max_body=4 * MiB,
    examples={"inbound_received": _event("cnv_55c8c149"), "outbound_sent": _event("cnv_55c8c150")},
    setup=(
        "Configure the app's signing key first: Front tries the URL with a challenge whenever it is saved.",
        "In the app's features add a webhook with the source's URL and choose the events.",
    ),
    traps=(
        "The timestamp is in milliseconds, and a colon stands between it and the body.",
        "Rule webhooks are another product: SHA-1 over the body alone, no timestamp, no retry; they are refused here.",
        "Deliveries hold previews: a handler gets whole messages from the API.",
    ),
    unsettled=(
        "That a delivery has its event under `payload`.",
        "Over how long the 3 retries are spread (an hour is assumed).",
        "After how long Front gives up on an answer.",
    ),
    docs="https://dev.frontapp.com/docs/application-webhooks",
)
