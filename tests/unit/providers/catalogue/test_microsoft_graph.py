"""Microsoft Graph: client state in each notification, tokens for rich ones, validation, lifecycle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.core.admission import Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.source import SignedRequest
from gateway.providers.entra import KEYS
from gateway.providers.microsoft_graph import MICROSOFT_GRAPH
from tests.admitting import NOW, NOW_US, PLAIN, delivered, events, reason, request
from tests.provider_keys import keyset, token
from tests.provider_shape import Asked, Batch, Known, ProviderShape

TENANT, APP = "84bd8158-6d4d-4958-8b9f-9d6445542f95", "8e460676-ae3f-4b1e-8790-ee0fb5d6148f"
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
# From "Receive change notifications through webhooks", "Reduce missing subscriptions" and the driveItem's page.
MESSAGE: dict[str, Any] = {
    "id": "lsgTZMr9KwAAA",
    "subscriptionId": "76222963-cc7b-42d2-882d-8aaa69cb2ba3",
    "subscriptionExpirationDateTime": "2016-03-20T11:00:00.0000000Z",
    "clientState": PLAIN,
    "changeType": "created",
    "resource": "Users/u1/Messages/m1",
    "tenantId": TENANT,
    "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "@odata.etag": 'W/"CQAAABYAAADkrW"', "id": "m1"},
}
VERSIONED = {name: value for name, value in MESSAGE.items() if name != "id"}
DRIVE = {
    "subscriptionId": "0fc0d6db-0073-42e5-a186-853da75fb308",
    "subscriptionExpirationDateTime": "2016-03-20T11:00:00.0000000Z",
    "clientState": PLAIN,
    "changeType": "updated",
    "resource": "me/drive/root",
    "tenantId": TENANT,
}
MISSED = {
    "subscriptionId": "76222963-cc7b-42d2-882d-8aaa69cb2ba3",
    "subscriptionExpirationDateTime": "2016-03-20T11:00:00.0000000Z",
    "clientState": PLAIN,
    "lifecycleEvent": "missed",
    "resource": "Users/u1/Messages",
    "tenantId": TENANT,
}
RICH = {**MESSAGE, "encryptedContent": {"data": "aGVsbG8=", "dataKey": "a2V5", "encryptionCertificateId": "1"}}


def _body(*notifications: Mapping[str, Any], **more: object) -> bytes:
    # As the sealing of test deliveries writes it.
    return msgspec.json.encode({"value": [dict(each) for each in notifications], **more})


def _state(*states: str | None) -> Callable[[SignedRequest], SignedRequest]:
    def change(signed: SignedRequest) -> SignedRequest:
        notifications = [{**MESSAGE, "clientState": state} for state in states]
        return replace(signed, body=_body(*notifications))

    return change


class TestMicrosoftGraph(ProviderShape):
    provider = MICROSOFT_GRAPH
    covers = frozenset()
    known = (
        Known(_body(MESSAGE), "lsgTZMr9KwAAA", "created", None, "Users/u1/Messages/m1", name="message"),
        Known(_body(VERSIONED), '76222963-cc7b-42d2-882d-8aaa69cb2ba3:created:m1:W/"CQAAABYAAADkrW"', "created",
              name="without an id"),
        Known(_body(DRIVE), "delivery:0", "updated", None, "me/drive/root", name="drive"),
        Known(_body(MISSED), "delivery:0", "missed", None, "Users/u1/Messages", name="lifecycle"),
    )  # fmt: skip
    batches = (
        Batch(
            _body(MESSAGE, DRIVE, DRIVE),
            ("lsgTZMr9KwAAA", "delivery:1", "delivery:2"),
            ("created", "updated", "updated"),
            tuple(msgspec.json.encode(each) for each in (MESSAGE, DRIVE, DRIVE)),
        ),
    )
    asked = (
        Asked(
            query=b"validationToken=Validation%3a+Testing+client+application+reachability+for+%3cb%3e",
            answer=b"Validation: Testing client application reachability for <b>",
            answer_type="text/plain",
            headers={"x-content-type-options": "nosniff"},
        ),
    )
    breaks = {
        "state": _state("another"),
        "one state of two": _state(PLAIN, "another"),
        "one state missing": _state(PLAIN, ""),
        "a state that is none": _state(PLAIN, None),
        "no notification": _state(),
        "no collection": lambda signed: replace(signed, body=b'{"value": 1}'),
    }

    def arrived(self, *notifications: Mapping[str, Any], **more: object) -> Request:
        return request(_body(*notifications, **more), {"content-type": "application/json"})

    def rich(self, **over: object) -> Request:
        issuer = f"https://sts.windows.net/{TENANT}/"
        claims = {"aud": APP, "iss": issuer, "tid": TENANT, "appid": PUBLISHER, "iat": NOW, "exp": NOW + 3_600, **over}
        return self.arrived(RICH, validationTokens=[token(claims)])

    def admitted(self, arrived: Request, **values: tuple[str, ...]) -> object:
        whole = msgspec.structs.replace(arrived, keys={KEYS: keyset()})
        return self.source(values={"app": (APP,), **values}).admit(whole, NOW_US)

    @pytest.mark.parametrize("body, token_text", [(b"x", b"a"), (b"", b""), (b"", b"a" * 1_025)])
    def test_what_is_no_validation_is_not_echoed(self, body: bytes, token_text: bytes) -> None:
        arrived = request(body, query=b"validationToken=" + token_text)

        assert isinstance(self.admit(self.source(), arrived), Rejected)

    def test_a_notification_with_a_validation_token_in_its_url_is_stored(self) -> None:
        arrived = msgspec.structs.replace(self.arrived(MESSAGE), query=b"validationToken=x")

        assert isinstance(self.admit(self.source(), arrived), Events)

    def test_notifications_with_data_need_their_tokens(self) -> None:
        assert isinstance(self.admitted(self.rich()), Events)
        assert isinstance(self.admitted(self.rich(), tenant=(TENANT,)), Events)
        assert self.admitted(self.arrived(RICH)) == Rejected("signature_missing")
        assert reason(self.admit(self.source(), self.rich())) == "signature_mismatch"

    @pytest.mark.parametrize(
        "over",
        [
            {"aud": "00000000-0000-0000-0000-000000000000"},
            {"appid": "00000000-0000-0000-0000-000000000000"},
            {"azp": "00000000-0000-0000-0000-000000000000"},
            {"iss": "https://evil.example/"},
            {"tid": "00000000-0000-0000-0000-000000000000"},
        ],
    )
    def test_a_token_for_another_is_refused(self, over: Mapping[str, object]) -> None:
        assert self.admitted(self.rich(**over)) == Rejected("signature_mismatch")

    def test_a_token_that_expired_or_of_another_key_is_refused(self) -> None:
        assert self.admitted(self.rich(exp=NOW - 120)) == Rejected("timestamp_stale")
        other = msgspec.structs.replace(self.rich(), keys={KEYS: keyset("other")})
        assert self.source(values={"app": (APP,)}).admit(other, NOW_US) == Rejected("signature_mismatch")

    def test_each_of_several_tokens_must_hold(self) -> None:
        (good,) = json.loads(self.rich().body)["validationTokens"]

        assert self.admitted(self.arrived(RICH, validationTokens=[good, "x"])) == Rejected("signature_malformed")
        assert self.admitted(self.arrived(RICH, validationTokens=[good] * 17)) == Rejected("signature_malformed")

    def test_another_tenant_may_be_shut_out(self) -> None:
        tenants = ("00000000-0000-0000-0000-000000000000",)

        assert self.admitted(self.rich(), tenant=tenants) == Rejected("signature_mismatch")

    def test_keys_are_asked_for_only_in_a_delivery_with_the_client_state(self) -> None:
        source = self.source(values={"app": (APP,)})

        assert source.admit(self.rich(), NOW_US) == NeedsKey(KEYS)
        wrong = self.arrived({**RICH, "clientState": "x"}, validationTokens=["a.b.c"])
        assert isinstance(source.admit(wrong, NOW_US), Rejected)

    def test_two_changes_of_a_drive_are_two_events_though_they_read_the_same(self) -> None:
        first = delivered(self.sign(self.asking(_body(DRIVE))))
        second = msgspec.structs.replace(first, delivery_id="another")

        keys = {event.dedupe_key for each in (first, second) for event in events(self.admit(self.source(), each))}

        assert len(keys) == 2

    def test_the_validation_is_answered_under_any_secret(self) -> None:
        arrived = request(query=b"validationToken=x")

        assert isinstance(self.admit(self.source("another secret"), arrived), Handshake)
