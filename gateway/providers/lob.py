"""Lob: `timestamp.body` signed by HMAC-SHA256, both in headers of their own."""

from gateway.core.provider import Example, Mac, MiB, Provider, Scheme, Shape, Timestamp

_RETRIES = 3 * 3600.0

LOB = Provider(
    name="lob",
    title="Lob",
    category="other",
    schemes=(
        Scheme(
            header="lob-signature",
            message=("timestamp", ".", "body"),
            # An id that is signed is remembered for longer, so that no copy gets in.
            timestamp=Timestamp(header="lob-signature-timestamp", unit="ms", past=_RETRIES, refreshed_on_retry=False),
            macs=(Mac(),),
        ),
    ),
    shapes=(Shape(id="json:id", type="json:event_type.id", time="json:date_created", key="json:reference_id"),),
    key_hint="the webhook's secret, from the dashboard's Webhooks page",
    retry_horizon=_RETRIES,
    max_body=MiB,
    examples={
        "letter.created": Example(
            '{"id": "$id", "body": {"id": "ltr_test", "object": "letter"}, "reference_id": "ltr_test", '
            '"event_type": {"id": "$type", "enabled_for_test": true, "resource": "letters", "object": "event_type"}, '
            '"date_created": "$time", "object": "event"}'
        ),
    },
    setup=("In the dashboard make a webhook with the source's URL, and configure its secret here.",),
    traps=("The timestamp is in a header of its own, in milliseconds.",),
    unsettled=(
        "Whether each retry is signed anew; a signature is taken for as long as Lob is taken to retry.",
        "How long Lob waits for an answer, and for how long it retries: three hours are assumed.",
        "That the timestamp counts milliseconds, as most who verify it take it.",
    ),
    docs="https://help.lob.com/print-and-mail/getting-data-and-results/using-webhooks",
)
