"""Customer.io: `v0:timestamp:body`, a bare digest; object and metric make the type."""

from gateway.providers.customer_io import CUSTOMER_IO
from tests.provider_shape import Known, ProviderShape

CLICKED = (
    b'{"data": {"customer_id": "0200102", "delivery_id": "RPILAgUBcRhIBqSfeiIwdIYJKxTY", "href": "http://example.com", '
    b'"identifiers": {"id": "0200102", "cio_id": "d9c106000001"}, "recipient": "test@example.com"}, "event_id": '
    b'"01E2EMRMM6TZ12TF9WGZN0WJQT", "object_type": "email", "metric": "clicked", "timestamp": 1583339000}'
)


class TestCustomerIo(ProviderShape):
    provider = CUSTOMER_IO
    covers = frozenset({"body", "x-cio-timestamp"})
    known = (Known(CLICKED, "01E2EMRMM6TZ12TF9WGZN0WJQT", "email.clicked", 1_583_339_000_000_000, "d9c106000001"),)
