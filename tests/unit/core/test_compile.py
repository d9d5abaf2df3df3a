"""What a source refuses at start: secrets, URLs, options. No message holds a secret."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.compile import SHORTEST_WINDOW, compile_source, horizon, private_header
from gateway.core.provider import DAY, Scheme
from gateway.core.source import Secret, SourceOptions
from gateway.providers import PROVIDERS
from tests.admitting import PLAIN, URL, WHSEC, custom, source

CANARY = "canary-9f2d"


def _fault(provider: str, *secrets: Secret, **options: Any) -> str:
    options.setdefault("public_url", URL)
    with pytest.raises(ValueError) as raised:
        compile_source(PROVIDERS[provider], name="test", secrets=secrets, options=SourceOptions(**options))
    return str(raised.value)


@pytest.mark.parametrize(
    "provider, text, words",
    [
        ("github", "", "is empty"),
        ("github", "  ", "is empty"),
        ("github", CANARY + "\n", "white space"),
        ("github", " " + CANARY, "white space"),
        ("stripe", "sk_live_" + CANARY, "of another kind"),
        ("adyen", CANARY, "is not hex; needed is the HMAC key of the webhook"),
        ("standard_webhooks", "whsec_" + CANARY + "!", "is not base64 behind whsec_"),
        ("standard_webhooks", "whsec_", "is empty"),
        ("standard_webhooks", CANARY + "!", "is not base64"),
        ("standard_webhooks", "whpk_AAAA", "32 bytes"),
        ("standard_webhooks", "whsk_AAAA", "32 or 64 bytes"),
        ("gitlab", "whsec_" + CANARY + "!", "is not base64"),
        ("gitlab", "whsec_", "is empty"),
        ("svix", "\ud800" + CANARY, "is not base64"),
        ("github", "\ud800" + CANARY, "is not utf8"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_by_its_label(provider: str, text: str, words: str) -> None:
    message = _fault(provider, Secret("mine", text))

    assert words in message
    assert "'mine'" in message
    assert CANARY not in message


def test_a_source_without_secrets_is_refused() -> None:
    assert _fault("github").startswith("secrets: at least one")


def test_two_secrets_of_one_label_are_refused() -> None:
    assert _fault("github", Secret("a", "x"), Secret("a", "y")).startswith("secrets: two")


def test_the_second_secret_is_checked_too() -> None:
    assert "'bad'" in _fault("svix", Secret("good", WHSEC), Secret("bad", "whsec_!"))


@pytest.mark.parametrize("url", [None, "", "hooks.example.com/x", "ftp://a/b", "https://", "https://ü.example/x"])
def test_twilio_needs_the_whole_public_url(url: str | None) -> None:
    assert _fault("twilio", Secret("a", PLAIN), public_url=url).startswith("public_url: ")


def test_a_custom_scheme_over_the_url_needs_it_too() -> None:
    scheme = {"signature": {"header": "x"}, "message": ["url", "body"]}

    with pytest.raises(ValueError, match="public_url"):
        source(custom(scheme), "a", public_url=None)


@pytest.mark.parametrize("text", ["", "repository.id", "json:", "header:@x"])
def test_an_order_that_is_no_expression_is_refused(text: str) -> None:
    assert _fault("github", Secret("a", "x"), order_by=text).startswith("order_by: ")


def test_a_tolerance_where_no_time_is_signed_is_refused() -> None:
    assert _fault("github", Secret("a", "x"), tolerance=60).startswith("tolerance: ")


@pytest.mark.parametrize(
    "header",
    [
        "Authorization",
        "cookie",
        "X-Hub-Signature-256",
        "x-hub-signature",
        "x-api-key",
        "x-access-token",
        "a b",
        "",
        "é",
    ],
)
def test_a_header_that_may_hold_a_secret_is_never_kept(header: str) -> None:
    assert _fault("github", Secret("a", "x"), keep_headers=(header,)).startswith("keep_headers: ")


def test_a_provider_s_own_headers_may_be_named_whatever_they_are_called() -> None:
    assert source("twilio", keep_headers=("I-Twilio-Idempotency-Token",)).provider == "twilio"


def test_options_replace_the_provider_s_defaults() -> None:
    target = source("github", "x", max_body=10, deadline=0.5, dedupe_window=60.0, rate=5.0, on_replay="refuse")

    assert (target.max_body, target.deadline, target.dedupe_window) == (10, 0.5, 60.0)
    assert (target.rate, target.on_replay, target.on_conflict) == (5.0, "refuse", "dead")


def test_nothing_of_a_source_shows_a_secret() -> None:
    target = source("github", CANARY)

    assert CANARY not in repr(target)
    assert CANARY not in repr(target.admit)
    assert CANARY not in repr(target.sign)
    assert target.labels == ("s0",)


def test_the_published_addresses_are_admitted_beside_those_written() -> None:
    options = SourceOptions(allow_ips=("192.0.2.1/32", "provider"))

    source = compile_source(PROVIDERS["github"], name="test", secrets=(Secret("only", "s3cret"),), options=options)

    assert source.allow_ips == ("192.0.2.1/32",)
    assert source.feed is PROVIDERS["github"].feed


def test_a_provider_that_publishes_no_addresses_cannot_be_admitted_by_them() -> None:
    options = SourceOptions(allow_ips=("provider",))

    with pytest.raises(ValueError, match=r"allow_ips: Slack publishes no list"):
        compile_source(PROVIDERS["slack"], name="test", secrets=(Secret("only", "s3cret"),), options=options)


@pytest.mark.parametrize(
    "name,private",
    [("X-Proof", True), ("X-Also", True), ("Authorization", True), ("x-gitlab-token", True), ("user-agent", False)],
)
def test_what_proves_a_delivery_is_private_and_so_is_what_is_named_like_it(name, private):
    provider = replace(PROVIDERS["github"], schemes=(Scheme(header="x-proof", also=("x-also",)),))

    assert private_header(provider, name) is private


@pytest.mark.parametrize(
    "retries,redelivered,seconds",
    [
        pytest.param(3 * DAY, 30 * DAY, 33 * DAY, id="both"),
        pytest.param(3_600.0, 0.0, DAY, id="an hour is too short to tell"),
        pytest.param(0.0, 0.0, SHORTEST_WINDOW, id="nobody knows"),
    ],
)
def test_an_event_may_come_again_for_as_long_as_it_is_retried_and_redelivered(retries, redelivered, seconds):
    provider = replace(PROVIDERS["github"], retry_horizon=retries, redelivery_horizon=redelivered)

    assert horizon(provider) == seconds
