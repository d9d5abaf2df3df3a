"""SendGrid's Event Webhook: ECDSA over the timestamp and the body, which ends with a line break; a JSON array."""

from gateway.core.provider import DAY, Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp


def _event(fields: str) -> Example:
    return Example(
        '[{"email": "test@example.com", "timestamp": $time_s, "smtp-id": "<14c5d75ce93@example.com>", '
        '"event": "$type", "sg_event_id": "$id", "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"'
        + fields
        + "}]\r\n"
    )


SENDGRID = Provider(
    name="sendgrid",
    title="SendGrid",
    category="email",
    schemes=(
        Scheme(
            header="x-twilio-email-event-webhook-signature",
            message=("timestamp", "body"),
            macs=(Mac(algorithm="ecdsa-p256-sha256", key=Key(encoding="base64"), encoding="base64"),),
            # Nobody says whether a retry is signed anew; ids are signed, so an old copy is a duplicate.
            timestamp=Timestamp(
                header="x-twilio-email-event-webhook-timestamp",
                past=DAY + 3_600,
                future=600.0,
                refreshed_on_retry=False,
            ),
        ),
    ),
    shapes=(
        Shape(
            split="[*]",
            id="json:sg_event_id",
            type="json:event",
            time="json:timestamp",
            key="json:sg_message_id | json:email",
        ),
    ),
    key_hint="the verification key shown when signature verification is on (base64, begins with MFkw)",
    body_varies=True,
    retry_horizon=DAY,
    max_body=4 * MiB,
    max_elements=10_000,
    sends={"user-agent": "SendGrid Event API"},
    examples={
        "delivered": _event(', "response": "250 OK"'),
        "bounce": _event(', "reason": "500 unknown recipient", "status": "5.0.0", "type": "bounce"'),
    },
    setup=(
        "Under Settings > Mail Settings > Event Webhooks add the source's URL and choose the events.",
        "Turn on Signature Verification there, and configure the verification key.",
    ),
    traps=(
        "The body ends with CRLF, which is signed: a proxy that trims it breaks every signature.",
        "The same event often comes several times, in other batches: its sg_event_id alone makes it a duplicate.",
        "The signature is DER in base64 and the key SPKI in base64; neither is hex.",
        "Inbound Parse is another product: multipart, and not signed this way.",
    ),
    unsettled=("Whether a retry is signed with a new timestamp; the tolerance spans the 24 h of retries.",),
    docs="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
)
