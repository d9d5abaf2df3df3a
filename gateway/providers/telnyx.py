"""Telnyx: `timestamp|body` signed by Ed25519."""

from gateway.core.provider import Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp


def _event(payload: str) -> Example:
    return Example(
        '{"data": {"event_type": "$type", "id": "$id", "occurred_at": "$time", "record_type": "event", "payload": {'
        + payload
        + '}}, "meta": {"attempt": 1, "delivered_to": "https://hooks.example.com/webhooks/telnyx"}}'
    )


TELNYX = Provider(
    name="telnyx",
    title="Telnyx",
    category="messaging",
    schemes=(
        Scheme(
            header="telnyx-signature-ed25519",
            message=("timestamp", "|", "body"),
            macs=(Mac(algorithm="ed25519", key=Key(encoding="base64"), encoding="base64"),),
            timestamp=Timestamp(header="telnyx-timestamp"),
        ),
    ),
    shapes=(
        Shape(
            id="json:data.id",
            type="json:data.event_type",
            time="json:data.occurred_at",
            key="json:data.payload.call_session_id | json:data.payload.id | json:data.payload.fax_id",
        ),
    ),
    key_hint="the account's public key (base64), under Account Settings > Keys & Credentials > Public Key",
    # Each attempt counts itself in the body.
    body_varies=True,
    timeout=2.0,
    retry_horizon=3_600.0,
    max_body=MiB,
    sends={"user-agent": "telnyx-webhooks"},
    examples={
        "message.received": _event(
            '"id": "84cca175-9755-4859-b67f-4730d7f58aa3", "direction": "inbound", "text": "Hello", "type": "SMS"'
        ),
        "call.initiated": _event(
            '"call_control_id": "v3:test", "call_session_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1", "state": "parked"'
        ),
    },
    setup=(
        "Configure the account's public key, which is one for all products.",
        "Enter the source's URL as the webhook of the profile, connection or application; API version 2, POST.",
    ),
    traps=(
        "Answer within 2 s: each URL is tried up to 3 times, then the failover URL, which may be this one again.",
        "Every attempt has another body (meta.attempt), so that the event's id alone makes it a duplicate.",
        "Events come in no order, and two copies may come at once.",
        "Webhooks of API version 1 have another form; GET is not taken.",
    ),
    unsettled=("Over how long the retries are spread; an hour is assumed.",),
    docs="https://developers.telnyx.com/development/api-fundamentals/webhooks/receiving-webhooks",
)
