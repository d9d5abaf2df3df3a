"""Contentful: a canonical request, of which the list of signed headers must cover itself and the time."""

import hmac

from gateway.core.admission import Rejected
from gateway.providers.contentful import CONTENTFUL
from tests.admitting import NOW, PLAIN, request
from tests.provider_shape import Known, ProviderShape


class TestContentful(ProviderShape):
    provider = CONTENTFUL
    covers = frozenset({"body", "query", "x-contentful-timestamp", "x-contentful-signed-headers"})
    known = (
        Known(
            b'{"sys": {"type": "Entry", "id": "5KsDBWse", "updatedAt": "2023-11-14T22:13:20Z"}}',
            "key-1",
            "ContentManagement.Entry.publish",
            1_700_000_000_000_000,
            "5KsDBWse",
            headers={
                "x-contentful-topic": "ContentManagement.Entry.publish",
                "x-contentful-idempotency-key": "key-1",
                "x-contentful-signed-headers": "x-contentful-signed-headers,x-contentful-timestamp",
            },
            flags=("type_unsigned",),
        ),
    )

    def test_a_time_that_is_not_among_the_signed_headers_is_refused(self) -> None:
        listed = "x-contentful-signed-headers"
        message = f"POST\n/webhooks/test\n{listed}:{listed}\n".encode()
        headers = {
            listed: listed,
            "x-contentful-timestamp": str(NOW * 1000),
            "x-contentful-signature": hmac.new(PLAIN.encode(), message, "sha256").hexdigest(),
        }

        assert isinstance(self.admit(self.source(), request(b"", headers)), Rejected)
