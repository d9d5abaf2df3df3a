"""HubSpot: three signatures, of which the weak two must be asked for; batches whose elements have ids of their own."""

import hashlib
import hmac
import json
from base64 import b64encode

from gateway.core.admission import Events, Rejected
from gateway.providers.hubspot import HUBSPOT
from tests.admitting import JSON, NOW, PLAIN, URL, request
from tests.provider_shape import Batch, Known, ProviderShape

ONE = (
    b'{"eventId":100,"subscriptionId":25,"portalId":33,"appId":1,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeFlag":"NEW"}'
)
TWO = (
    b'{"eventId":100,"subscriptionId":26,"portalId":33,"appId":1,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":123,"propertyName":"email"}'
)
PAIR = (
    b'{"eventId":7,"subscriptionId":27,"portalId":33,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.associationChange","fromObjectId":1,"toObjectId":2}'
)
IDS = ("33:25:123:100:1564113600000", "33:26:123:100:1564113600000:email", "33:27:1:2:7:1564113600000")


class TestHubSpot(ProviderShape):
    provider = HUBSPOT
    covers = frozenset({"body", "query", "x-hubspot-request-timestamp"})
    known = (Known(b"[" + ONE + b"]", IDS[0], "contact.creation", 1_564_113_600_000_000, "33:123"),)
    batches = (
        Batch(
            b"[" + b", ".join((ONE, TWO, PAIR)) + b"]",
            IDS,
            ("contact.creation", "contact.propertyChange", "contact.associationChange"),
            (ONE, TWO, PAIR),
        ),
    )

    def test_a_retry_in_another_batch_with_another_attempt_is_the_same_event(self) -> None:
        first = self.admit(self.source(), self.signed_body(b"[" + ONE + b"," + TWO + b"]", JSON, b"", {}))
        retry = TWO.replace(b'"attemptNumber":0', b'"attemptNumber":1')
        again = self.admit(self.source(), self.signed_body(b"[" + retry + b"]", JSON, b"", {}))

        assert isinstance(first, Events)
        assert isinstance(again, Events)
        assert again.events[0].dedupe_key == first.events[1].dedupe_key

    def test_the_url_is_signed_decoded_or_as_it_is(self) -> None:
        query, stamp = b"a=%3Ax%2Cy%20z", str(NOW * 1000).encode()
        for signed_query in (query, b"a=:x,y%20z"):
            message = b"POST" + URL.encode() + b"?" + signed_query + b"[]" + stamp
            signature = b64encode(hmac.digest(PLAIN.encode(), message, "sha256"))
            headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": stamp}
            arrived = request(b"[]", headers, query=query)
            assert isinstance(self.admit(self.source(), arrived), Events), signed_query

    def test_an_old_signature_is_taken_only_where_the_source_asks_for_it(self) -> None:
        body = json.dumps([]).encode()
        v1 = hashlib.sha256(PLAIN.encode() + body).hexdigest()
        v2 = hashlib.sha256(PLAIN.encode() + b"POST" + URL.encode() + body).hexdigest()
        for version, signature, enough in (("v1", v1, {"v1"}), ("v2", v2, {"v1", "v2"})):
            arrived = request(body, {"x-hubspot-signature": signature, "x-hubspot-signature-version": version})
            for oldest in ("v1", "v2", "v3", None):
                values = {} if oldest is None else {"oldest_signature": (oldest,)}
                admission = self.admit(self.source(values=values), arrived)
                assert isinstance(admission, Events if oldest in enough else Rejected), (version, oldest)

    def test_an_old_signature_beside_a_bad_new_one_is_refused(self) -> None:
        old = hashlib.sha256(PLAIN.encode() + b"[]").hexdigest()
        headers = {"x-hubspot-signature": old, "x-hubspot-signature-version": "v1", "x-hubspot-signature-v3": "AAAA"}

        assert isinstance(
            self.admit(self.source(values={"oldest_signature": ("v1",)}), request(b"[]", headers)), Rejected
        )
