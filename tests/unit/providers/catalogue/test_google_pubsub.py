"""Google Pub/Sub push: an OIDC token that covers no body; wrapped and unwrapped messages."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from gateway.core.admission import NeedsKey, Rejected
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.google_pubsub import GOOGLE_PUBSUB, KEYS
from tests.admitting import NOW, NOW_US, SECOND, URL, delivered, only, reason
from tests.provider_keys import keyset, token
from tests.provider_shape import Known, ProviderShape

EMAIL = "pusher@example-project.iam.gserviceaccount.com"
# As "Authenticate push subscriptions" shows them.
CLAIMS: Mapping[str, object] = {
    "aud": URL,
    "azp": "113774264463038321964",
    "email": EMAIL,
    "sub": "113774264463038321964",
    "email_verified": True,
    "exp": NOW + 3_600,
    "iat": NOW,
    "iss": "https://accounts.google.com",
}
WRAPPED = (
    b'{"deliveryAttempt": 5, "message": {"attributes": {"key": "value"}, "data": "SGVsbG8gQ2xvdWQgUHViL1N1YiEgSGVyZSBpc'
    b'yBteSBtZXNzYWdlIQ==", "messageId": "2070443601311540", "message_id": "2070443601311540", "orderingKey": "key", '
    b'"publishTime": "2021-02-26T19:13:55.749Z", "publish_time": "2021-02-26T19:13:55.749Z"}, '
    b'"subscription": "projects/myproject/subscriptions/mysubscription"}'
)
STORAGE = WRAPPED.replace(b'"key": "value"', b'"eventType": "OBJECT_FINALIZE", "objectId": "report.csv"')
TYPED = WRAPPED.replace(
    b"SGVsbG8gQ2xvdWQgUHViL1N1YiEgSGVyZSBpcyBteSBtZXNzYWdlIQ==", b"eyJ0eXBlIjogIm9yZGVyLnBhaWQiLCAibiI6IDF9"
)
UNWRAPPED = {
    "x-goog-pubsub-subscription-name": "projects/myproject/subscriptions/mysubscription",
    "x-goog-pubsub-message-id": "2070443601311540",
    "x-goog-pubsub-publish-time": "2021-02-26T19:13:55.749Z",
    "x-goog-pubsub-ordering-key": "some-key",
}
ID = "projects/myproject/subscriptions/mysubscription/2070443601311540"
AT_US = 1_614_366_835_749_000


class TestGooglePubsub(ProviderShape):
    provider = GOOGLE_PUBSUB
    secret = None
    settings = {"email": (EMAIL, "second@example-project.iam.gserviceaccount.com")}
    keys = {KEYS: keyset()}
    covers = frozenset()
    renewed = True
    known = (
        Known(WRAPPED, ID, "message", AT_US, "key", name="wrapped"),
        Known(STORAGE, ID, "OBJECT_FINALIZE", AT_US, "key", name="storage"),
        Known(TYPED, ID, "order.paid", AT_US, "key", name="typed"),
        Known(b'{"status": "Hello there"}', ID, "message", AT_US, "some-key", headers=UNWRAPPED, name="unwrapped"),
        Known(b'{"type": "order.paid"}', "delivery", "order.paid", None, "delivery", name="without metadata"),
    )

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        assert secret is None
        return self.bearing(asked, {"iat": asked.now_us // SECOND, "exp": asked.now_us // SECOND + 3_600})

    def bearing(self, asked: SignRequest, over: Mapping[str, object], **how: str) -> SignedRequest:
        claims = {name: value for name, value in {**CLAIMS, **over}.items() if value is not None}
        headers = {"content-type": asked.content_type, "authorization": f"Bearer {token(claims, **how)}"}
        return SignedRequest(method=asked.method, query=asked.query, headers=headers, body=asked.body)

    @pytest.mark.parametrize(
        "over, cause",
        [
            ({"iss": "https://accounts.google.com.evil.example"}, "signature_mismatch"),
            ({"iss": None}, "signature_mismatch"),
            ({"aud": "https://other.example.com"}, "signature_mismatch"),
            ({"aud": None}, "signature_mismatch"),
            ({"email": "thief@evil.iam.gserviceaccount.com"}, "signature_mismatch"),
            ({"email": None}, "signature_mismatch"),
            ({"email_verified": False}, "signature_mismatch"),
            ({"email_verified": "true"}, "signature_mismatch"),
            ({"exp": NOW - 120}, "timestamp_stale"),
            ({"exp": None}, "timestamp_missing"),
            ({"iat": NOW + 120}, "timestamp_future"),
        ],
    )
    def test_a_token_for_another_is_refused(self, over: Mapping[str, object], cause: str) -> None:
        """Providers, section 9.21."""
        arrived = delivered(self.bearing(self.example(), over))

        assert reason(self.admit(self.source(), arrived)) == cause

    def test_both_issuers_count_and_audiences_may_be_several(self) -> None:
        source = self.source(values={**self.settings, "audience": ("one", "two")})

        arrived = delivered(self.bearing(self.example(), {"iss": "accounts.google.com", "aud": "two"}))

        assert only(self.admit(source, arrived)).verified_by == "fetched"

    def test_a_token_of_another_key_under_the_same_name_is_refused(self) -> None:
        arrived = delivered(self.bearing(self.example(), {}, name="other"))

        assert reason(self.admit(self.source(), arrived)) == "signature_mismatch"

    def test_keys_are_asked_for_and_asked_for_again_where_one_is_missing(self) -> None:
        source = self.source()
        known, unknown = delivered(self.genuine()), delivered(self.bearing(self.example(), {}, kid="key-2"))

        assert source.admit(known, NOW_US) == NeedsKey(KEYS)
        assert self.admit(source, unknown) == NeedsKey(KEYS)
        assert source.key_request is not None
        assert source.key_request(KEYS).url == "https://www.googleapis.com/oauth2/v3/certs"

    def test_no_key_is_asked_for_in_the_name_of_another_audience(self) -> None:
        arrived = delivered(self.bearing(self.example(), {"aud": "https://other.example.com"}))

        assert isinstance(self.source().admit(arrived, NOW_US), Rejected)

    @pytest.mark.parametrize("keys", [b"", b"[]", b'{"keys": 1}', b'{"keys": [1, {"kid": "key-1"}]}', b"{" * 5_000])
    def test_a_key_set_that_is_none_holds_no_key(self, keys: bytes) -> None:
        arrived = msgspec.structs.replace(delivered(self.genuine()), keys={KEYS: keys})

        assert self.source().admit(arrived, NOW_US) == NeedsKey(KEYS)

    @pytest.mark.parametrize("text", ["Bearer", "Bearer a.b.c", "Basic dTpw", "Bearer ", "x"])
    def test_what_is_no_token_is_refused(self, text: str) -> None:
        arrived = delivered(self.genuine(), authorization=text)

        assert isinstance(self.admit(self.source(), arrived), Rejected)

    def test_the_scheme_may_be_in_any_case(self) -> None:
        signed = self.genuine()
        headers = {**signed.headers, "authorization": signed.headers["authorization"].replace("Bearer", "bearer")}

        assert only(self.admit(self.source(), delivered(replace(signed, headers=headers)))).type == "message"

    def test_the_payload_is_unwrapped_from_either_form(self) -> None:
        bodies = {TYPED: {"type": "order.paid", "n": 1}, b'{"a": 1}': {"a": 1}, b"\x00\xff": b"\x00\xff"}
        for body, payload in bodies.items():
            event = only(self.admit(self.source(), self.signed_body(body, "application/json", b"", UNWRAPPED)))
            assert event.unwrap() == payload
            assert event.body == body

    def test_two_messages_without_metadata_are_two_events_even_if_they_are_equal(self) -> None:
        arrived = self.signed_body(b'{"a": 1}', "application/json", b"", {})
        again = msgspec.structs.replace(arrived, delivery_id="another")

        first, second = (only(self.admit(self.source(), each)) for each in (arrived, again))

        assert first.dedupe_key != second.dedupe_key

    def test_an_audience_is_needed_where_no_url_is_known(self) -> None:
        with pytest.raises(ValueError, match=r"settings\.audience"):
            self.source(public_url=None)
