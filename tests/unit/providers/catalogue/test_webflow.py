"""Webflow: the time in milliseconds and a colon before the body; few events have an id."""

import hmac

from gateway.core.admission import Events
from gateway.providers.webflow import WEBFLOW
from tests.admitting import NOW, PLAIN, request
from tests.provider_shape import Known, ProviderShape


class TestWebflow(ProviderShape):
    provider = WEBFLOW
    covers = frozenset({"body", "x-webflow-timestamp"})
    known = (
        Known(
            b'{"triggerType": "form_submission", "payload": {"name": "Contact Us", "siteId": "65427cf4", '
            b'"data": {"First Name": "Zaphod"}, "submittedAt": "2022-09-14T12:35:16.117Z", "id": "6321ca84"}}',
            "form_submission:6321ca84:2022-09-14T12:35:16.117Z",
            "form_submission",
            1_663_158_916_117_000,
            "6321ca84",
        ),
        Known(
            b'{"triggerType": "collection_item_changed", "payload": {"id": "65a86a35", "siteId": "65427cf4", '
            b'"lastUpdated": "2022-09-14T12:35:16.117Z"}}',
            "collection_item_changed:65a86a35:2022-09-14T12:35:16.117Z",
            "collection_item_changed",
        ),
        Known(
            b'{"triggerType": "site_publish", "payload": {"siteId": "62749158", '
            b'"publishedOn": "2022-09-14T12:35:16.117Z"}}',
            "site_publish:62749158:2022-09-14T12:35:16.117Z",
            "site_publish",
            key="62749158",
        ),
        Known(
            b'{"triggerType": "collection_item_changed", "payload": {"id": "65a86a35", "cmsLocaleId": "653f", '
            b'"lastUpdated": "2022-09-14T12:35:16.117Z"}}',
            "collection_item_changed:65a86a35:653f:2022-09-14T12:35:16.117Z",
            "collection_item_changed",
            name="one language of an item",
        ),
        Known(
            b'{"triggerType": "page_created", "payload": {"siteId": "62749158", "pageId": "6596da60", "pageTitle": '
            b'"Me", "createdOn": "2022-09-14T12:35:16.117Z"}}',
            "page_created:6596da60:2022-09-14T12:35:16.117Z",
            "page_created",
            1_663_158_916_117_000,
            "6596da60",
        ),
        Known(
            b'{"triggerType": "page_deleted", "payload": {"siteId": "62749158", "pageId": "6596da60", '
            b'"deletedOn": "2022-09-14T12:35:16.117Z"}}',
            "page_deleted:6596da60:2022-09-14T12:35:16.117Z",
            "page_deleted",
            1_663_158_916_117_000,
            "6596da60",
        ),
        Known(
            b'{"triggerType": "ecomm_new_order", "payload": {"orderId": "dfa-3f1", "status": "unfulfilled", '
            b'"acceptedOn": "2022-09-14T12:35:16.117Z"}}',
            "ecomm_new_order:dfa-3f1:2022-09-14T12:35:16.117Z",
            "ecomm_new_order",
            1_663_158_916_117_000,
            "dfa-3f1",
        ),
        Known(
            b'{"triggerType": "ecomm_order_changed", "payload": {"orderId": "dfa-3f1", "status": "fulfilled", '
            b'"acceptedOn": "2022-09-14T12:35:16.117Z"}}',
            "delivery",
            "ecomm_order_changed",
            key="dfa-3f1",
            name="an order may come back to what it was",
        ),
        Known(
            b'{"triggerType": "ecomm_inventory_changed", "payload": {"id": "5bfedb42", "quantity": 5}}',
            "delivery",
            "ecomm_inventory_changed",
            key="5bfedb42",
            name="a stock may come back to what it was",
        ),
    )

    def test_a_signature_as_its_library_makes_it_is_admitted(self) -> None:
        stamp = f"{NOW}000"
        digest = hmac.new(PLAIN.encode(), f"{stamp}:{{}}".encode(), "sha256").hexdigest()
        arrived = request(b"{}", {"x-webflow-timestamp": stamp, "x-webflow-signature": digest})

        assert isinstance(self.admit(self.source(), arrived), Events)
