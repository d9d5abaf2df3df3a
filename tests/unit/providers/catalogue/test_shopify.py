"""Shopify: the raw body in base64, and identity in headers that nothing covers."""

from gateway.providers.shopify import SHOPIFY
from tests.provider_shape import Known, ProviderShape

# From "Webhooks" and "HTTPS webhooks", shortened.
ORDER = b'{"id": 820982911946154508, "admin_graphql_api_id": "gid:\\/\\/shopify\\/Order\\/820982911946154508"}'
NAMES = {
    "topic": "orders/create",
    "shop-domain": "example.myshopify.com",
    "webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    "event-id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
    "triggered-at": "2023-11-14T22:13:20.123456789Z",
    "api-version": "2026-01",
}


class TestShopify(ProviderShape):
    provider = SHOPIFY
    covers = frozenset({"body"})
    known = (
        Known(
            ORDER, "example.myshopify.com/orders/create/b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "orders/create",
            1_700_000_000_123_456, "example.myshopify.com/gid://shopify/Order/820982911946154508",
            headers={f"x-shopify-{name}": value for name, value in NAMES.items()}, flags=("type_unsigned",),
        ),
    )  # fmt: skip
