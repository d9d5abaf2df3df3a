"""Why a delivery was refused: each cause is found, and only that one, without a secret in the words."""

import json

import msgspec
import pytest

from gateway.core.admission import Events, Request
from gateway.core.diagnosis import Diagnosis, Suspect, diagnose
from gateway.core.source import Secret, SignRequest, SourceOptions
from gateway.providers import PROVIDERS
from tests.admitting import NOW_US, SECOND, URL, WHSEC, delivered, request, source

SECRET, OTHER = "the secret of this source", "the secret of another source"
BODY = b'{"id":"evt_1","type":"invoice.paid","n":"\xc3\xa9"}\n'


def genuine(
    provider: str = "stripe", secret: str = SECRET, body: bytes = BODY, content_type: str = "application/json"
) -> Request:
    sign = source(provider, secret).sign
    assert sign is not None
    asked = SignRequest(
        body=body, now_us=NOW_US, event_id="evt_1", event_type="invoice.paid", content_type=content_type
    )
    return delivered(sign(asked))


def told(
    arrived: Request, provider: str = "stripe", *, secret: str = SECRET, now_us: int = NOW_US, url: str = URL
) -> Diagnosis:
    suspect = Suspect(
        provider=PROVIDERS[provider],
        name="mine",
        secrets=(Secret("s0", secret),),
        options=SourceOptions(public_url=url),
        others={"neighbour": (Secret("theirs", OTHER),)},
    )
    arrived = msgspec.structs.replace(arrived, received_us=now_us)
    found = diagnose(suspect, arrived, now_us)
    for text in (*found.causes, found.reason):
        assert SECRET not in text
        assert OTHER not in text
        assert "evt_1" not in text
    return found


def test_a_genuine_delivery_has_no_cause() -> None:
    found = told(genuine())

    assert isinstance(found.admission, Events)
    assert found.causes == ()


def test_the_secret_of_another_source_is_named_by_source_and_label() -> None:
    (cause,) = told(genuine(secret=OTHER)).causes

    assert "secret 'theirs' of source neighbour" in cause


def test_a_secret_that_nobody_has_leaves_no_cause() -> None:
    found = told(genuine(secret="a secret that is not configured"))

    assert (found.reason, found.causes) == ("signature_mismatch", ())


@pytest.mark.parametrize(
    "altered, words",
    [
        (BODY.rstrip(), "with a newline at its end"),
        (BODY + b"\n", "without the newline at its end"),
        (b"\xef\xbb\xbf" + BODY, "without a byte order mark"),
        (BODY.replace(b"\n", b"\r\n"), "with LF line ends"),
    ],
)
def test_a_body_whose_edges_were_altered_is_told_so(altered: bytes, words: str) -> None:
    body = BODY if words != "without the newline at its end" else BODY.rstrip()
    arrived = msgspec.structs.replace(genuine(body=body), body=altered)

    assert any(words in cause for cause in told(arrived).causes)


@pytest.mark.parametrize(
    "signed, words",
    [
        (json.dumps({"a": "\u00e9", "b": [1, 2]}, separators=(",", ":"), ensure_ascii=False), "without blanks"),
        (json.dumps({"a": "\u00e9", "b": [1, 2]}, separators=(",", ":")), "non-ASCII escaped"),
        (json.dumps({"a": "\u00e9", "b": [1, 2]}, indent=2, ensure_ascii=False), "indented by two"),
    ],
)
def test_a_body_that_was_written_again_is_told_with_the_style_that_was_signed(signed: str, words: str) -> None:
    arrived = genuine(body=signed.encode())
    again = json.dumps({"a": "\u00e9", "b": [1, 2]}, ensure_ascii=False, indent=4).encode()

    (cause,) = told(msgspec.structs.replace(arrived, body=again)).causes

    assert "the body was altered" in cause
    assert words in cause


@pytest.mark.parametrize(
    "late, words", [(3600, "3600 s before it arrived"), (-3600, "3600 s after it arrived: this clock is behind")]
)
def test_a_time_that_is_off_is_told_in_seconds(late: int, words: str) -> None:
    found = told(genuine(), now_us=NOW_US + late * SECOND)

    assert found.reason in {"timestamp_stale", "timestamp_future"}
    assert any(words in cause for cause in found.causes)


def test_the_url_that_was_signed_is_named() -> None:
    arrived = genuine(
        "twilio", body=b"MessageSid=SM1&MessageStatus=sent", content_type="application/x-www-form-urlencoded"
    )

    found = told(arrived, "twilio", url=URL.replace("https://", "http://") + "/")

    assert any(f"signed for the URL {URL};" in cause for cause in found.causes)


def test_a_delivery_without_signature_names_the_header_and_what_is_there_instead() -> None:
    found = told(request(BODY, {"X-Hub-Signature-256": "sha256=00"}))

    assert found.reason == "signature_missing"
    assert any("no header stripe-signature" in cause for cause in found.causes)
    assert any("x-hub-signature-256 instead" in cause for cause in found.causes)


@pytest.mark.parametrize(
    "provider, secret, words",
    [
        ("adyen", "00" * 32, "the body carries no signature"),
        ("monday", "a token of mine", "register it with ?token="),
    ],
)
def test_a_delivery_without_what_its_body_or_url_should_carry_is_told_so(
    provider: str, secret: str, words: str
) -> None:
    found = told(request(BODY, {}), provider, secret=secret)

    assert any(words in cause for cause in found.causes)


def test_a_header_that_came_twice_is_told() -> None:
    arrived = msgspec.structs.replace(genuine(), repeated=frozenset({b"stripe-signature"}))

    (cause,) = told(arrived).causes

    assert "came twice" in cause


def test_a_large_body_is_not_tried_in_other_forms() -> None:
    body = b'{"a": "' + b"x" * 300_000 + b'"}'
    arrived = msgspec.structs.replace(genuine(body=body), body=body + b"\n")

    assert told(arrived).causes == ()


def test_a_standard_webhooks_secret_of_another_form_is_no_error() -> None:
    arrived = genuine("standard_webhooks", WHSEC)

    assert told(arrived, "standard_webhooks", secret=WHSEC).causes == ()
