"""WooCommerce: the raw body signed; an unsigned form as a ping; deliveries that are never repeated."""

from gateway.core.provider import Challenge, Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

_HOOK = "header:x-wc-webhook-id"

WOOCOMMERCE = Provider(
    name="woocommerce",
    title="WooCommerce",
    category="commerce",
    schemes=(signed_body("x-wc-webhook-signature", encoding="base64"),),
    shapes=(
        Shape(
            # The delivery's id is a digest of the webhook's id and the second, so two of one second share it. Without
            # it an order that is deleted, restored and deleted again would be taken for a repetition.
            id=f"{_HOOK} + ':' + header:x-wc-webhook-delivery-id + ':' + body:sha256 | {_HOOK} + ':' + body:sha256 | "
            "body:sha256",
            type="header:x-wc-webhook-topic",
            time="json:date_modified_gmt | json:date_created_gmt",
            key="header:x-wc-webhook-source + header:x-wc-webhook-resource + ':' + json:id | json:id",
        ),
    ),
    key_hint="the webhook's secret as shown in WooCommerce > Settings > Advanced > Webhooks",
    # Sent when a webhook is saved; any status but 200 keeps it from being made.
    challenges=(Challenge(when="form:webhook_id", methods=("POST",), signed=False),),
    timeout=60.0,
    max_body=4 * MiB,
    keep_headers=(
        "x-wc-webhook-topic",
        "x-wc-webhook-resource",
        "x-wc-webhook-event",
        "x-wc-webhook-id",
        "x-wc-webhook-delivery-id",
        "x-wc-webhook-source",
    ),
    sends={
        "x-wc-webhook-topic": "{type}",
        "x-wc-webhook-event": "updated",
        "x-wc-webhook-resource": "{event}",
        "x-wc-webhook-id": "1",
        "x-wc-webhook-delivery-id": "{id}",
        "x-wc-webhook-source": "https://shop.example.com/",
    },
    examples={
        "order.updated": Example('{"id": 727, "status": "processing", "total": "29.35", "date_modified_gmt": "$time"}'),
        "product.updated": Example('{"id": 799, "name": "Ship", "price": "9.00", "date_modified_gmt": "$time"}'),
        "customer.created": Example('{"id": 25, "email": "test@example.com", "date_created_gmt": "$time"}'),
    },
    setup=(
        "Under WooCommerce > Settings > Advanced > Webhooks add a webhook with the source's URL as delivery URL.",
        "Copy its secret as the page shows it, and save: WooCommerce sends a ping that the gateway answers.",
    ),
    traps=(
        "Nothing is sent a second time: what was not answered is lost.",
        "After more than five failures on end the webhook is disabled.",
        "Topic, hook and delivery stand in unsigned headers: events say `type_unsigned`.",
        "The delivery id is no event id: it counts seconds.",
        "A secret with quotes or ampersands signs in its plain form, not with HTML entities.",
        "Deliveries go through WordPress's scheduler, and may be minutes late on a quiet site.",
    ),
    docs="https://developer.woocommerce.com/docs/best-practices/urls-and-routing/webhooks/",
)
