"""AfterShip: the body signed by HMAC-SHA256, in base64, in a header that each product names otherwise."""

from gateway.core.provider import DAY, Example, Mac, MiB, Provider, Scheme, Shape

AFTERSHIP = Provider(
    name="aftership",
    title="AfterShip",
    category="commerce",
    schemes=(
        Scheme(
            header="aftership-hmac-sha256",
            also=("as-signature-hmac-sha256", "am-webhook-signature"),
            macs=(Mac(encoding="base64"), Mac(encoding="base64", prefix="hmac-sha256=")),
        ),
    ),
    shapes=(
        # Shipping has no event id.
        Shape(
            id="json:event_id | json:id | body:sha256",
            type="json:event | json:event_type",
            time="json:ts | json:created_at | json:date_time",
            key="json:msg.id | json:data.warranty.id | json:data.id",
        ),
    ),
    key_hint="the webhook secret of the product, from its settings; each product has its own",
    # 14 attempts, the time between them doubled from 30 seconds on: 68 hours.
    retry_horizon=3 * DAY,
    max_body=4 * MiB,
    keep_headers=("as-webhook-version",),
    sends={"as-webhook-version": "2026-07", "user-agent": "AfterShipTrackingWebhook/4.0.0"},
    examples={
        "tracking_update": Example(
            '{"event": "$type", "event_id": "$id", "is_tracking_first_tag": true, "msg": {"id": "5b74f4958776db0e", '
            '"tracking_number": "1111111111111", "slug": "usps", "tag": "InTransit"}, "ts": $time_s}'
        ),
        "return.approved": Example(
            '{"id": "$id", "version": "2026-07", "event": "$type", "created_at": "$time", "modified": {}, '
            '"data": {"id": "ret_test", "rma_number": "RMA-1001", "approval_status": "approved"}}'
        ),
    },
    setup=(
        "In the product's settings add a webhook with the source's URL; its port must be 80, 443 or 8080.",
        "Configure the product's webhook secret here, and for several products the secret of each.",
    ),
    traps=(
        "Tracking, Returns, Warranty and Shipping sign in headers of different names, under different secrets.",
        "The secret is text as it is, and the signature base64; Shipping writes hmac-sha256= before it.",
        "event is tracking_update for every change: what happened is told by msg.tag.",
    ),
    unsettled=("How long AfterShip waits for an answer.", "That Shipping's retries have the same body."),
    docs="https://www.aftership.com/docs/tracking/webhook/webhook-signature",
)
