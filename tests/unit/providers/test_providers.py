"""Each provider's own facts: ids, types, times, keys, flags, answers, handshakes, horizons."""

import base64
import hashlib
import hmac
import json
from urllib.parse import quote_plus

import pytest

from gateway.core.admission import Rejected
from gateway.providers import PROVIDERS, get
from gateway.providers.examples import example
from tests.admitting import (
    FORM,
    NOW,
    NOW_US,
    PLAIN,
    SECOND,
    WHSEC,
    delivered,
    event_of,
    only,
    reason,
    request,
    secret_of,
    signed,
    source,
)

DAY = 86_400.0


@pytest.mark.parametrize(
    "provider, deadline, window, methods, signed_id",
    [
        ("stripe", 0.8, 33 * DAY, {"POST"}, True),
        ("github", 2.5, 7 * DAY, {"POST"}, False),
        ("shopify", 2.5, 7 * DAY, {"POST"}, False),
        ("slack", 1.5, 7 * DAY, {"POST", "GET"}, True),
        ("twilio", 2.5, 7 * DAY, {"POST", "GET"}, False),
        ("standard_webhooks", 2.5, 7 * DAY, {"POST"}, True),
        ("svix", 2.5, 7 * DAY, {"POST"}, True),
        ("gitlab", 2.5, 7 * DAY, {"POST"}, True),
    ],
)
def test_a_provider_sets_what_its_sources_need(provider, deadline, window, methods, signed_id) -> None:
    target = source(provider)

    assert (target.deadline, target.dedupe_window, target.methods) == (deadline, window, methods)
    assert target.id_is_signed is signed_id


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_provider_tells_how_to_set_it_up_and_what_goes_wrong(provider) -> None:
    assert get(provider.name) is provider
    assert provider.setup
    assert provider.traps
    assert provider.key_hint
    assert provider.docs.startswith("https://")
    assert provider.examples


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_no_credential_is_among_the_headers_that_are_kept(provider) -> None:
    proofs = {scheme.header for scheme in provider.schemes} | {"authorization", "cookie", "x-gitlab-token"}

    assert proofs.isdisjoint(provider.keep_headers)


@pytest.mark.parametrize("name", ["discord", "front", "lob", "sendgrid", "slack", "twitch", "zendesk", "zoom"])
def test_no_text_can_be_moved_between_the_time_and_the_body_that_follows_it(name: str) -> None:
    """Some sign them without a separator: a shorter time would be of the same signature."""
    target, stamps = source(name), PROVIDERS[name].schemes[-1].timestamp
    assert stamps is not None
    sent = signed(target, name)
    stamp = sent.headers[stamps.header.lower()]

    for cut in range(1, len(stamp)):
        headers = {**sent.headers, stamps.header.lower(): stamp[:-cut]}
        moved = request(stamp[-cut:].encode() + sent.body, headers)
        assert isinstance(target.admit(moved, NOW_US), Rejected)


def test_a_stripe_event_is_known_by_its_signed_fields() -> None:
    body = {"id": "evt_1", "type": "invoice.paid", "created": NOW, "data": {"object": {"id": "in_1"}}}

    event = event_of("stripe", body)

    assert (event.id, event.type, event.time_us, event.key) == ("evt_1", "invoice.paid", NOW_US, "in_1")
    assert event.id_is_signed


def test_a_thin_stripe_event_has_its_time_and_key_elsewhere() -> None:
    body = {"id": "evt_2", "type": "v1.x", "created": "2023-11-14T22:13:20.5Z", "related_object": {"id": "mtr_1"}}

    event = event_of("stripe", body)

    assert (event.time_us, event.key) == (NOW_US + SECOND // 2, "mtr_1")


def test_a_stripe_retry_with_another_body_is_the_same_event() -> None:
    first, retry = (event_of("stripe", {"id": "evt_1", "pending_webhooks": count}) for count in (2, 1))

    assert first.dedupe_key == retry.dedupe_key
    assert first.body_sha256 != retry.body_sha256


@pytest.mark.parametrize(
    "headers, event_id",
    [
        ({"x_github_delivery": "guid"}, "guid"),
        ({"x_github_delivery": "guid", "x_github_hook_id": "12"}, "12:guid"),
    ],
)
def test_a_github_event_is_known_by_hook_and_delivery(headers: dict[str, str], event_id: str) -> None:
    event = event_of("github", {"repository": {"id": 5}}, x_github_event="push", **headers)

    assert (event.id, event.type, event.key, event.flags) == (event_id, "push", "5", ("type_unsigned",))


def test_a_github_action_is_part_of_the_type() -> None:
    event = event_of("github", {"action": "opened"}, x_github_event="issues", x_github_delivery="guid")

    assert (event.type, event.key) == ("issues.opened", "guid")


@pytest.mark.parametrize("scope", ["repository", "organization", "installation"])
def test_github_events_are_ordered_by_what_they_belong_to(scope: str) -> None:
    assert event_of("github", {scope: {"id": 77}}, x_github_delivery="guid").key == "77"


def test_a_github_form_is_read_from_its_payload() -> None:
    body = b"payload=" + quote_plus('{"action": "opened", "repository": {"id": 5}}').encode()

    event = event_of("github", body, FORM, x_github_event="issues", x_github_delivery="guid")

    assert (event.type, event.key, event.body) == ("issues.opened", "5", body)
    assert event.json()["action"] == "opened"


def test_one_github_body_under_two_ids_has_two_dedupe_keys_and_one_digest() -> None:
    first, second = (event_of("github", {}, x_github_delivery=guid) for guid in ("a", "b"))

    assert first.dedupe_key != second.dedupe_key
    assert first.body_sha256 == second.body_sha256
    assert not first.id_is_signed


def test_a_github_body_that_does_not_parse_keeps_its_id_and_type() -> None:
    event = event_of("github", b"Hello, World!", x_github_event="push", x_github_delivery="guid")

    assert (event.id, event.type, event.flags) == ("guid", "push", ("opaque", "type_unsigned"))


def _shopify(*families: str, **changed: str):
    body = b'{"id": 42, "updated_at": "x"}'
    mark = base64.b64encode(hmac.new(PLAIN.encode(), body, hashlib.sha256).digest()).decode()
    fields = {"topic": "orders/create", "shop-domain": "a.myshopify.com", "webhook-id": "w1", "hmac-sha256": mark}
    fields |= {"triggered-at": "2023-11-14T22:13:20.000000000Z"}
    headers = {family + name: value for family in families for name, value in fields.items()}
    return source("shopify").admit(
        request(body, headers | {k.replace("_", "-"): v for k, v in changed.items()}), NOW_US
    )


@pytest.mark.parametrize("family", ["shopify-", "x-shopify-"])
def test_a_shopify_event_is_known_by_shop_topic_and_delivery(family: str) -> None:
    event = only(_shopify(family))

    assert event.id == "a.myshopify.com/orders/create/w1"
    assert (event.type, event.time_us, event.key) == ("orders/create", NOW_US, "a.myshopify.com/42")
    assert event.flags == ("type_unsigned",)


def test_shopify_s_unprefixed_headers_are_read_where_they_are_signed() -> None:
    both = only(_shopify("shopify-", "x-shopify-", x_shopify_topic="forged"))
    forged = _shopify("x-shopify-", shopify_hmac_sha256="AAAA")

    assert both.type == "orders/create"
    assert reason(forged) == "signature_malformed"


def test_a_shopify_delivery_without_its_topic_has_no_id() -> None:
    event = only(_shopify("shopify-", shopify_topic=""))

    assert "id_missing" in event.flags


def test_slack_and_twilio_prescribe_their_answers() -> None:
    slack, twilio = source("slack").accepted, source("twilio").accepted

    assert slack is not None
    assert (slack.status, slack.body) == (200, b"")
    assert twilio is not None
    assert (twilio.body, twilio.content_type) == (b"<Response/>", "text/xml")


def test_headers_of_the_unsigned_family_do_not_name_a_standard_webhook() -> None:
    target = source("standard_webhooks")
    sent = signed(source("svix"), "svix", event_id="genuine")

    event = only(target.admit(delivered(sent, webhook_id="forged"), NOW_US))

    assert event.id == "genuine"


@pytest.mark.parametrize("provider", ["standard_webhooks", "svix"])
def test_a_bad_svix_signature_does_not_fall_back_to_the_other_family(provider: str) -> None:
    sent = signed(source("standard_webhooks"), "standard_webhooks")

    forged = delivered(sent, svix_signature="v1,AAAA", svix_id="x", svix_timestamp=str(NOW))

    assert reason(source(provider).admit(forged, NOW_US)) == "signature_malformed"


GITLAB_BODY = b'{"object_kind": "push", "project": {"id": 15}, "ref": "refs/heads/main"}'


def test_a_gitlab_token_admits() -> None:
    headers = {"x-gitlab-token": PLAIN, "idempotency-key": "k1", "x-gitlab-event": "Push Hook"}

    event = only(source("gitlab", PLAIN).admit(request(GITLAB_BODY, headers), NOW_US))

    assert (event.id, event.type, event.key) == ("k1", "push", "15:refs/heads/main")
    assert "x-gitlab-token" not in event.headers


@pytest.mark.parametrize("token", ["", "wrong", PLAIN + " ", WHSEC])
def test_another_gitlab_token_is_refused(token: str) -> None:
    target = source("gitlab", PLAIN, WHSEC)

    assert reason(target.admit(request(GITLAB_BODY, {"x-gitlab-token": token}), NOW_US)).startswith("signature_")


def test_a_gitlab_signature_that_fails_does_not_fall_back_to_the_token() -> None:
    headers = {"x-gitlab-token": PLAIN, "webhook-signature": "v1,AAAA", "webhook-id": "x"}
    headers["webhook-timestamp"] = str(NOW)

    assert reason(source("gitlab", PLAIN, WHSEC).admit(request(GITLAB_BODY, headers), NOW_US)) == "signature_malformed"
    assert reason(source("gitlab", PLAIN).admit(request(GITLAB_BODY, headers), NOW_US)) == "signature_mismatch"


def test_a_gitlab_signature_s_id_is_the_signed_one() -> None:
    sent = signed(source("gitlab"), "gitlab", event_id="genuine")

    event = only(source("gitlab").admit(delivered(sent, idempotency_key="forged"), NOW_US))

    assert event.id == "genuine"


def test_a_gitlab_event_without_known_fields_is_typed_by_its_header() -> None:
    headers = {"x-gitlab-token": PLAIN, "x-gitlab-event": "Push Hook"}

    event = only(source("gitlab", PLAIN).admit(request(b'{"custom": 1}', headers), NOW_US))

    assert (event.type, event.flags) == ("Push Hook", ("id_missing", "type_unsigned"))


def test_an_example_of_an_unknown_type_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"invoice\.paid"):
        example(PROVIDERS["stripe"], "invoice.pad", event_id="x", now_us=NOW_US)


def test_an_example_holds_an_awkward_id_without_breaking() -> None:
    asked = example(PROVIDERS["stripe"], event_id='a"b\\c', now_us=NOW_US)

    assert json.loads(asked.body)["id"] == 'a"b\\c'


def test_an_id_that_no_header_can_hold_is_not_sent() -> None:
    target = source("github", secret_of("github"))
    assert target.sign is not None

    with pytest.raises(ValueError, match="printable"):
        target.sign(example(PROVIDERS["github"], event_id="a\r\nx: y", now_us=NOW_US))
