"""Slack: three kinds of delivery, two challenges."""

import json
from urllib.parse import quote_plus

import pytest

from gateway.core.admission import Handshake
from tests.admitting import (
    FORM,
    NOW,
    NOW_US,
    admitted,
    answer,
    event_of,
    only,
    reason,
    request,
    source,
)


@pytest.mark.parametrize(
    "inner, type_, key",
    [
        ({"type": "message", "channel": "C1"}, "message", "C1"),
        ({"type": "message", "subtype": "bot_message", "channel": "C1"}, "message.bot_message", "C1"),
        ({"type": "channel_created", "channel": {"id": "C2"}}, "channel_created", "C2"),
        ({"type": "reaction_added", "item": {"channel": "C3"}, "user": "U1"}, "reaction_added", "C3"),
        ({"type": "user_change", "user": {"id": "U2"}}, "user_change", "U2"),
    ],
)
def test_a_slack_event_is_known_by_its_event_id(inner: dict[str, object], type_: str, key: str) -> None:
    body = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event_time": NOW, "event": inner}

    event = event_of("slack", body)

    assert (event.id, event.type, event.time_us, event.key, event.flags) == ("Ev1", type_, NOW_US, key, ())


def test_a_slack_rate_limit_is_known_by_team_and_minute() -> None:
    event = event_of("slack", {"type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": NOW})

    assert (event.id, event.type, event.flags) == (f"app_rate_limited:T1:{NOW}", "app_rate_limited", ())


def test_a_slack_command_is_known_by_its_trigger() -> None:
    event = event_of("slack", b"command=%2Fdeploy&trigger_id=1.2.3&user_id=U1&channel_id=C1&text=", FORM)

    assert (event.id, event.type, event.key) == ("1.2.3", "/deploy", "U1:C1")


@pytest.mark.parametrize(
    "payload, event_id",
    [
        ({"trigger_id": "1.2"}, "1.2"),
        ({"action_ts": "1700000000.000100"}, "1700000000.000100"),
        ({"view": {"id": "V1", "hash": "h"}}, "V1:h"),
    ],
)
def test_a_slack_interaction_is_known_by_what_it_carries(payload: dict[str, object], event_id: str) -> None:
    body = b"payload=" + quote_plus(json.dumps({"type": "block_actions", "user": {"id": "U1"}} | payload)).encode()

    event = event_of("slack", body, FORM)

    assert (event.id, event.type, event.key, event.flags) == (event_id, "block_actions", "U1", ())


def test_slack_s_challenge_is_echoed_as_plain_text_and_not_sniffed() -> None:
    admission = admitted("slack", b'{"type": "url_verification", "challenge": "<b>c</b>", "token": "t"}')

    assert answer(admission) == b"<b>c</b>"
    assert isinstance(admission, Handshake)
    assert (admission.ack.status, admission.ack.content_type, admission.secret) == (200, "text/plain", "s0")
    assert ("x-content-type-options", "nosniff") in admission.ack.headers


def test_slack_s_challenge_must_be_signed() -> None:
    body = b'{"type": "url_verification", "challenge": "c"}'

    assert reason(source("slack").admit(request(body), NOW_US)) == "signature_missing"


def test_a_challenge_that_is_too_long_is_not_echoed() -> None:
    body = json.dumps({"type": "url_verification", "challenge": "c" * 1025}).encode()

    assert only(admitted("slack", body)).type == "url_verification"


def test_slack_s_certificate_check_needs_no_signature_and_stores_nothing() -> None:
    form = {"content-type": FORM}

    assert answer(source("slack").admit(request(b"ssl_check=1&token=t", form), NOW_US)) == b""
    assert answer(source("slack").admit(request(method="GET", query=b"ssl_check=1"), NOW_US)) == b""


@pytest.mark.parametrize(
    "body, headers",
    [
        pytest.param(b"ssl_check=1", {"x-slack-signature": "v0=00", "x-slack-request-timestamp": "1"}, id="signed"),
        pytest.param(b"ssl_check=0", {}, id="another value"),
        pytest.param(b"ssl_check=1&x=" + b"x" * 5000, {}, id="large"),
    ],
)
def test_nothing_else_passes_for_a_certificate_check(body: bytes, headers: dict[str, str]) -> None:
    admission = source("slack").admit(request(body, headers | {"content-type": FORM}), NOW_US)

    assert reason(admission)
