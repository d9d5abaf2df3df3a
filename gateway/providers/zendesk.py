"""Zendesk: timestamp and body signed in base64; the payload of a trigger is whatever its author wrote."""

from gateway.core.provider import Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp

_INVOCATION = "x-zendesk-webhook-invocation-id"
# The secret that anyone may read in the documentation: the console's test button signs with it.
_PUBLIC_TEST_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ"  # noqa: S105 - published, and refused here

ZENDESK = Provider(
    name="zendesk",
    title="Zendesk",
    category="crm",
    schemes=(
        Scheme(
            header="x-zendesk-webhook-signature",
            message=("timestamp", "body"),
            macs=(Mac(key=Key(refuses=(_PUBLIC_TEST_SECRET,)), encoding="base64"),),
            timestamp=Timestamp(header="x-zendesk-webhook-signature-timestamp", unit="iso"),
        ),
    ),
    shapes=(
        Shape(
            when="json:zendesk_event_version",
            id="json:id",
            type="json:type",
            time="json:time",
            key="json:subject",
        ),
        # Triggers and automations: the header is unsigned, so an id is bound to its body.
        Shape(
            id=f"header:{_INVOCATION} | body:sha256", type="'trigger'", key="json:ticket_id | json:ticket.id | json:id"
        ),
    ),
    key_hint="the webhook's signing secret, shown on its page; not the one of the test button, which is public",
    methods=("POST", "PUT", "PATCH"),
    timeout=12.0,
    retry_horizon=300.0,
    max_body=MiB,
    keep_headers=(_INVOCATION, "x-zendesk-webhook-id", "x-zendesk-account-id"),
    sends={_INVOCATION: "{id}", "x-zendesk-webhook-id": "01F1KRFQ6BG29CNWFR60NK5FNY", "user-agent": "Zendesk Webhook"},
    examples={
        "zen:event-type:user.created": Example(
            '{"account_id": 21635648, "detail": {"created_at": "$time", "id": "6596848315901", "email": "a@b.c", '
            '"role": "end-user"}, "event": {}, "id": "$id", "subject": "zen:user:6596848315901", "time": "$time", '
            '"type": "$type", "zendesk_event_version": "2022-06-20"}'
        ),
        "trigger": Example('{"ticket_id": "35436", "status": "open", "title": "Help, my printer is on fire"}'),
    },
    setup=(
        "Create a webhook with the source's URL, for events or for triggers and automations; the format JSON, by POST.",
        "Reveal its signing secret and configure it.",
    ),
    traps=(
        "The test button before a webhook is created signs with a secret that anyone can look up: it is not accepted.",
        "A trigger's payload is what its author wrote: known by the invocation id, of type `trigger`.",
        "Two webhooks may tell of one action; they are two events.",
        "A 409 is retried 3 times, 429 and 503 only with a Retry-After below a minute, timeouts up to 5 times.",
        "At 70% of errors in 5 minutes the webhook is paused.",
    ),
    unsettled=("Whether the invocation id and the timestamp stay the same on a retry.",),
    docs="https://developer.zendesk.com/documentation/webhooks/verifying/",
)
