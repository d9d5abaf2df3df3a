"""Yousign: the body signed by HMAC-SHA256."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

YOUSIGN = Provider(
    name="yousign",
    title="Yousign",
    category="productivity",
    schemes=(signed_body("x-yousign-signature-256", prefix="sha256="),),
    shapes=(
        Shape(
            id="json:event_id",
            type="json:event_name",
            time="json:event_time",
            key="json:data.signature_request.id",
        ),
    ),
    key_hint="the webhook subscription's secret key",
    # One second for the first attempt, 10 s for the 8 others, of which the last comes after four days.
    timeout=1.0,
    retry_horizon=5 * DAY,
    keep_headers=("x-yousign-retry", "x-yousign-issued-at"),
    sends={"user-agent": "Yousign Webhook Bot"},
    examples={
        "signature_request.done": Example(
            '{"event_id": "$id", "event_name": "$type", "event_time": "$time_s", "subscription_id": "sub_test", '
            '"sandbox": true, "data": {"signature_request": {"id": "sr_test", "status": "done"}}}'
        ),
    },
    setup=("Make a webhook subscription with the source's URL, and configure its secret key here.",),
    traps=(
        "The time of sending, X-Yousign-Issued-At, is not signed.",
        "The first attempt waits for one second only; a copy may follow an answer that came later.",
        "Retries need auto_retry: true at the subscription; without it only a timeout is tried once more.",
    ),
    docs="https://developers.yousign.com/docs/verify-webhooks-signature",
)
