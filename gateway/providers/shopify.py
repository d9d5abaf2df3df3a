"""Shopify: the raw body signed in base64; everything else stands in unsigned headers, of either family."""

from gateway.core.provider import Example, Mac, MiB, Provider, Scheme, Shape
from gateway.providers import object_apis


def _scheme(family: str, *, when: str = "") -> Scheme:
    names = {"shop": "shop-domain", "topic": "topic", "id": "webhook-id", "time": "triggered-at"}
    return Scheme(
        header=f"{family}hmac-sha256",
        macs=(Mac(encoding="base64"),),
        when=when,
        aliases={alias: family + name for alias, name in names.items()},
    )


_KEPT = ("topic", "shop-domain", "webhook-id", "event-id", "triggered-at", "api-version", "name", "sub-topic", "test")

SHOPIFY = Provider(
    name="shopify",
    title="Shopify",
    category="commerce",
    schemes=(_scheme("shopify-", when="shopify-hmac-sha256"), _scheme("x-shopify-")),
    shapes=(
        Shape(
            # One change may fan out to several topics, and the event id is common to them.
            id="header:@shop + '/' + header:@topic + '/' + header:@id",
            type="header:@topic",
            time="header:@time",
            key="header:@shop + '/' + json:admin_graphql_api_id | header:@shop + '/' + json:id | header:@shop",
        ),
    ),
    key_hint="the app's client secret, or for hooks made in the shop's admin the secret shown there",
    timeout=5.0,
    retry_horizon=4 * 3600.0,
    max_body=8 * MiB,
    keep_headers=tuple(family + name for family in ("shopify-", "x-shopify-") for name in _KEPT),
    sends={
        "@topic": "{type}",
        "@shop": "example.myshopify.com",
        "@id": "{id}",
        "@time": "{time}",
        "x-shopify-api-version": "2026-01",
    },
    examples={
        "orders/create": Example(
            '{"id": 820982911946154508, "admin_graphql_api_id": "gid://shopify/Order/820982911946154508", '
            '"created_at": "$time", "updated_at": "$time", "currency": "USD", "total_price": "398.00", '
            '"line_items": [{"id": 866550311766439020, "quantity": 1, "price": "199.00"}]}'
        ),
        "products/update": Example(
            '{"id": 788032119674292922, "admin_graphql_api_id": "gid://shopify/Product/788032119674292922", '
            '"title": "Example T-Shirt", "updated_at": "$time"}'
        ),
    },
    object_api=object_apis.SHOPIFY,
    setup=(
        "Subscribe to the topics in the app's configuration or through the Admin API, with the source's URL.",
        "Configure the app's client secret; while it is rotated, the new and the old one.",
    ),
    traps=(
        "Answer within 5 s in all; after 8 failures running the subscription may be removed.",
        "Topic, shop and ids are unsigned headers: an id is bound to its body, and events say `type_unsigned`.",
        "The event id is common to all topics that one change fans out to: it is kept, and identifies no delivery.",
        "A retry carries the body of the first try: see the triggered-at header for its age.",
    ),
    docs="https://shopify.dev/docs/apps/build/webhooks",
)
