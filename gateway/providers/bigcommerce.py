"""BigCommerce: Standard Webhooks, under the app's client secret as text."""

from gateway.core.provider import Example, Key, Mac, Provider, Shape
from gateway.providers.standard_webhooks import scheme

_EVENT = (
    '{"store_id": "11111", "producer": "stores/abcde", "scope": "$type", "data": {"type": "%s", "id": 173331}, '
    '"hash": "3f9ea420af83450d7ef9f78b08c8af25b2213637", "created_at": $time_s}'
)


def _event(kind: str) -> Example:
    return Example(_EVENT % kind)


BIGCOMMERCE = Provider(
    name="bigcommerce",
    title="BigCommerce",
    category="commerce",
    schemes=(scheme("webhook", macs=(Mac(key=Key(refuses=("whsec_",)), encoding="base64", prefix="v1,"),)),),
    shapes=(
        Shape(
            # Not `hash`, though it is proposed against duplicates: it is the digest of so few fields that two changes
            # of one order may have the same.
            id="header:@id",
            type="json:scope",
            time="json:created_at",
            key="json:producer + ':' + json:data.type + ':' + json:data.id | json:producer",
        ),
    ),
    key_hint="the client secret of the app or API account that created the webhook",
    # 11 retries, the last a day after the one before: 48 hours in all.
    retry_horizon=49 * 3_600.0,
    keep_headers=("webhook-id", "webhook-timestamp"),
    sends={"@id": "{id}"},
    examples={
        "store/order/created": _event("order"),
        "store/order/statusUpdated": _event("order"),
        "store/product/updated": _event("product"),
    },
    setup=(
        "Create the webhook by the API: POST /stores/STORE/v3/hooks with scope, the source's URL and is_active.",
        "Configure the client secret of the account whose token created it.",
    ),
    traps=(
        "The client secret is the key as it is: the base64 in the published samples only undoes their library's.",
        "Events only name what changed: a handler fetches it by the API.",
        "A webhook without events for 90 days, or with failures for 48 hours, is deactivated: watch is_active.",
        "All hooks of one domain share a success ratio: below 90 % in two minutes the domain waits for three.",
    ),
    unsettled=("Whether a retry keeps its webhook-id, as Standard Webhooks demands.",),
    docs="https://developer.bigcommerce.com/docs/integrations/webhooks/https-webhook-overview",
)
