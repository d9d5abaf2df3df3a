"""Customer.io reporting webhooks: `v0:timestamp:body`, the signature without its version."""

from gateway.core.provider import DAY, Example, Mac, MiB, Provider, Scheme, Shape, Timestamp


def _event(metric: str, fields: str = "") -> Example:
    return Example(
        '{"event_id": "$id", "object_type": "email", "metric": "' + metric + '", "timestamp": $time_s, "data": '
        '{"customer_id": "0200102", "delivery_id": "RPILAgUBcRhIBqSfeiIwdIYJKxTY", "recipient": "test@example.com"'
        + fields
        + "}}"
    )


CUSTOMER_IO = Provider(
    name="customer_io",
    title="Customer.io",
    category="email",
    schemes=(
        Scheme(
            header="x-cio-signature",
            message=("v0:", "timestamp", ":", "body"),
            macs=(Mac(),),
            timestamp=Timestamp(header="x-cio-timestamp"),
        ),
    ),
    shapes=(
        Shape(
            id="json:event_id",
            type="json:object_type + '.' + json:metric | json:metric",
            time="json:timestamp",
            key="json:data.identifiers.cio_id | json:data.customer_id | json:data.delivery_id",
        ),
    ),
    key_hint="the webhook's signing key, on its page",
    timeout=4.0,
    retry_horizon=7 * DAY,
    max_body=MiB,
    sends={"user-agent": "Customer.io Web Hooks 1.0"},
    examples={
        "email.delivered": _event("delivered"),
        "email.clicked": _event("clicked", ', "href": "https://example.com/", "link_id": 1'),
    },
    setup=(
        "Under Data & Integrations > Integrations add a Reporting Webhook with the source's URL.",
        "Configure its signing key.",
    ),
    traps=(
        "Answer within 4 s. While one delivery is tried again, the later ones wait.",
        "The message begins with v0:, but the header holds the bare hex digest.",
        "An event is named by its object_type and metric together, such as email.clicked.",
        "With body content turned on, `sent` events hold whole messages.",
    ),
    unsettled=("That each retry carries a new timestamp, and the tolerance of 300 s.",),
    docs="https://docs.customer.io/api/webhooks/",
)
