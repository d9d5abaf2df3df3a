"""What naive receivers get wrong; `tests/provider_mistakes.py` says which line of which list each test is for."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.core.admission import Events, Handshake, Rejected, Request
from gateway.core.source import Secret, SignedRequest
from tests.admitting import HEX, JSON, NOW, NOW_US, PLAIN, SECOND, URL, WHSEC, delivered, request
from tests.catalogue import shapes

SHAPES = shapes()
WHSEC_KEY = base64.b64decode(WHSEC.removeprefix("whsec_"))


def _arrived(name: str, sent: SignedRequest) -> Request:
    return msgspec.structs.replace(delivered(sent), keys=SHAPES[name].keys)


def _admitted(name: str, arrived: Request) -> bool:
    shape = SHAPES[name]
    return isinstance(shape.admit(shape.source(), arrived), Events | Handshake)


@cache
def _covering() -> list[str]:
    """Return those that sign the bytes of bodies, whatever these are."""
    found = []
    for name, shape in SHAPES.items():
        # Where fields are signed, or a time stands in the body, not every body can be.
        scheme = shape.provider.schemes[-1]
        plain = scheme.claims is None and not (scheme.timestamp and scheme.timestamp.json) and name != "aws_sns"
        if plain and "body" in shape.covers and shape.example().method == "POST":
            found.append(name)
    return found


@pytest.mark.parametrize("name", _covering())
def test_a_body_written_again_or_with_other_line_ends_is_refused(name: str) -> None:
    shape = SHAPES[name]
    body = b'{ "id": 1,\r\n "n": 1.0,\r\n "text": "h\\u00e9 \xe2\x98\x83" }\r\n'
    kind = (
        shape.example().content_type if shape.example().content_type.startswith(("application/json", "text")) else JSON
    )
    sent = shape.sign(shape.asking(body, kind))
    tree = json.loads(body)

    assert _admitted(name, _arrived(name, sent))
    for other in (
        json.dumps(tree).encode(), json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode(),
        body.replace(b"\r\n", b"\n"), body.rstrip(), body + b"\n", body.decode().encode("utf-16"),
        body.replace(b"1.0", b"1"), body.replace(b"\\u00e9", "é".encode()),
    ):  # fmt: skip
        assert not _admitted(name, msgspec.structs.replace(_arrived(name, sent), body=other)), other


def _hex(key: bytes, *message: bytes) -> str:
    return hmac.new(key, b"".join(message), hashlib.sha256).hexdigest()


def _base64(key: bytes, *message: bytes) -> str:
    return base64.b64encode(hmac.new(key, b"".join(message), hashlib.sha256).digest()).decode()


BASE64_KEY = base64.b64encode(b"0123456789abcdef").decode()
STAMP = str(NOW).encode()
BODY = b'{"id": "evt_1"}'
KEYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "stripe": (WHSEC, {"stripe-signature": f"t={NOW},v1=" + _hex(WHSEC.encode(), STAMP, b".", BODY)}),
    "standard_webhooks": (WHSEC, {"webhook-signature": "v1," + _base64(WHSEC_KEY, b"m.", STAMP, b".", BODY)}),
    "gitlab": (WHSEC, {"webhook-signature": "v1," + _base64(WHSEC_KEY, b"m.", STAMP, b".", BODY)}),
    "square": (BASE64_KEY, {"x-square-hmacsha256-signature": _base64(BASE64_KEY.encode(), URL.encode(), BODY)}),
    "pagerduty": (BASE64_KEY, {"x-pagerduty-signature": "v1=" + _hex(BASE64_KEY.encode(), BODY)}),
    "paddle": (BASE64_KEY, {"paddle-signature": f"ts={NOW};h1=" + _hex(BASE64_KEY.encode(), STAMP, b":", BODY)}),
    "adyen_platform": (HEX, {"hmacsignature": _base64(bytes.fromhex(HEX), BODY)}),
    "airtable": (
        BASE64_KEY, {"x-airtable-content-mac": "hmac-sha256=" + _hex(base64.b64decode(BASE64_KEY), BODY)}
    ),
    "microsoft_teams": (BASE64_KEY, {"authorization": "HMAC " + _base64(base64.b64decode(BASE64_KEY), BODY)}),
}  # fmt: skip


@pytest.mark.parametrize("name", KEYS)
def test_a_secret_is_decoded_exactly_where_the_provider_decodes_it(name: str) -> None:
    secret, proof = KEYS[name]
    stamped = {"webhook-id": "m", "webhook-timestamp": str(NOW)} if "webhook-signature" in proof else {}
    target = SHAPES[name].source(secret, public_url=URL)

    assert isinstance(target.admit(request(BODY, {**stamped, **proof}), NOW_US), Events)


def test_an_item_of_adyen_s_is_signed_under_the_bytes_that_its_key_s_hex_tells() -> None:
    sent = SHAPES["adyen"].sign(SHAPES["adyen"].example(), HEX)
    (item,) = json.loads(sent.body)["notificationItems"]
    fields = item["NotificationRequestItem"]
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    amount = fields["amount"]
    parts = [fields.get(name, "") for name in names]
    parts += [str(amount["value"]), amount["currency"], fields["eventCode"], fields["success"]]

    assert fields["additionalData"]["hmacSignature"] == _base64(bytes.fromhex(HEX), ":".join(parts).encode())


@cache
def _listing() -> list[str]:
    """Return those whose signature has several entries: in one header, or in several."""
    return [name for name, shape in SHAPES.items() if any(_lists(scheme) for scheme in shape.provider.schemes)]


def _lists(scheme: Any) -> bool:
    return bool(scheme.macs) and scheme.macs[0].algorithm != "none" and bool(scheme.split or scheme.also)


def _both(name: str) -> Request:
    """Return a delivery whose first signature is by a secret that we do not have, and whose second by ours."""
    shape = SHAPES[name]
    scheme = next(scheme for scheme in reversed(shape.provider.schemes) if _lists(scheme))
    theirs, ours = (shape.sign(shape.example(), secret) for secret in (shape.other, shape.secret))
    header = next(each.header for each in shape.provider.schemes if each.header in ours.headers)
    first, second = theirs.headers[header], ours.headers[header]
    if scheme.also:
        return _arrived(name, replace(ours, headers={**ours.headers, header: first, scheme.also[0]: second}))
    separator = scheme.split[:1]
    entries = dict.fromkeys(entry.strip() for entry in (*first.split(separator), *second.split(separator)))
    return _arrived(name, replace(ours, headers={**ours.headers, header: separator.join(entries)}))


@pytest.mark.parametrize("name", _listing())
def test_any_entry_of_a_list_of_signatures_is_enough_and_not_the_first_alone(name: str) -> None:
    assert {"stripe", "paddle", "pagerduty", "standard_webhooks", "docusign", "box"} <= set(_listing())
    assert _admitted(name, _both(name))


@pytest.mark.parametrize("name", _listing())
def test_blanks_that_a_proxy_puts_behind_commas_do_not_matter(name: str) -> None:
    arrived = _both(name)
    headers = {key: re.sub(rb"([,;])\s*", rb"\1 ", value) for key, value in arrived.headers.items()}
    # Commas stand within the entries of a list that blanks separate.
    kept = arrived.headers if any(scheme.split == " " for scheme in SHAPES[name].provider.schemes) else headers

    assert _admitted(name, msgspec.structs.replace(arrived, headers=kept))


@cache
def _padded() -> list[str]:
    found = []
    for name, shape in SHAPES.items():
        proof = shape.genuine().headers.get(shape.provider.schemes[-1].header, "")
        if re.search(r"[=,][A-Za-z0-9+/]{20,}=$", proof):
            found.append(name)
    return found


@pytest.mark.parametrize("name", _padded())
def test_padding_behind_a_key_and_an_equals_sign_is_part_of_the_signature(name: str) -> None:
    assert {"typeform", "x", "standard_webhooks"} <= set(_padded())
    sent, header = SHAPES[name].genuine(), SHAPES[name].provider.schemes[-1].header
    cut = replace(sent, headers={**sent.headers, header: sent.headers[header].rstrip("=")})

    assert _admitted(name, _arrived(name, sent))
    assert not _admitted(name, _arrived(name, cut))


UNITS = {
    "hubspot": "ms", "linear": "ms", "workos": "ms", "sanity": "ms", "recurly": "ms", "contentful": "ms",
    "paypal": "iso", "zendesk": "iso", "twitch": "iso", "box": "iso", "stripe": "s", "slack": "s", "discord": "s",
}  # fmt: skip
WRITTEN = {"ms": rf"\b{NOW}000\b", "s": rf"\b{NOW}\b", "iso": r"\b2023-11-14T22:13:20(\.0+)?Z"}


@pytest.mark.parametrize("name", UNITS)
def test_the_age_of_a_delivery_is_counted_in_the_provider_s_unit(name: str) -> None:
    shape = SHAPES[name]
    arrived = _arrived(name, shape.genuine())
    stamp = next(scheme.timestamp for scheme in shape.provider.schemes if scheme.timestamp)
    text = arrived.headers[stamp.header.lower().encode()] if stamp.header else arrived.body

    assert re.search(WRITTEN[UNITS[name]], text.decode())
    for later in (0, 50):
        admission = shape.source().admit(arrived, shape.at_us + later * SECOND)
        assert isinstance(admission, Events), admission
        assert admission.signature_age == pytest.approx(later, abs=1)


def test_a_time_with_nanoseconds_is_read() -> None:
    stamp = "2023-11-14T22:13:20.123456789Z"
    names = ("twitch-eventsub-message-id", "twitch-eventsub-message-timestamp", "twitch-eventsub-message-signature")
    body = b'{"subscription": {"type": "stream.online"}, "event": {}}'
    proof = "sha256=" + _hex(PLAIN.encode(), b"m1", stamp.encode(), body)
    sent = request(body, {**dict(zip(names, ("m1", stamp, proof), strict=True)), "content-type": JSON})

    admission = SHAPES["twitch"].source().admit(sent, NOW_US + 10 * SECOND)

    assert isinstance(admission, Events), admission
    assert admission.signature_age == pytest.approx(9.876544, abs=0.001)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.provider.needs_public_url])
def test_the_url_that_is_signed_is_the_configured_one_and_no_header_changes_it(name: str) -> None:
    assert {"twilio", "hubspot", "square", "trello", "mandrill", "messagebird"} <= {
        key for key, shape in SHAPES.items() if shape.provider.needs_public_url
    }
    shape = SHAPES[name]
    arrived = _arrived(name, shape.genuine())
    behind = {b"host": b"10.0.0.7:8080", b"x-forwarded-host": b"evil.example", b"x-forwarded-proto": b"http"}
    proxied = msgspec.structs.replace(arrived, headers={**arrived.headers, **behind})
    elsewhere = shape.source(public_url="https://evil.example/webhooks/other")

    assert _admitted(name, proxied)
    assert isinstance(shape.admit(elsewhere, msgspec.structs.replace(proxied)), Rejected)


def test_challenges_are_answered_in_the_one_form_that_the_provider_takes() -> None:
    def answer(name: str, body: bytes = b"", *, signed: bool = False, **sent: Any) -> tuple[int, bytes, str]:
        shape = SHAPES[name]
        arrived = request(body, {"content-type": JSON, **sent.pop("headers", {})}, **sent)
        if signed:
            arrived = _arrived(name, shape.sign(shape.asking(body)))
        admission = shape.admit(shape.source(), arrived)
        assert isinstance(admission, Handshake), admission
        return admission.ack.status, admission.ack.body, admission.ack.content_type

    asked = b'[{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c0de"}}]'
    validation = {"aeg-event-type": "SubscriptionValidation"}
    token = SHAPES["azure_event_grid"].genuine().query
    assert answer("azure_event_grid", asked, headers=validation, query=token)[:2] == (
        200, b'{"validationResponse": "c0de"}',
    )  # fmt: skip
    assert answer("dropbox", method="GET", query=b"challenge=c") == (200, b"c", "text/plain")
    challenge = b'{"type": "url_verification", "challenge": "c"}'
    assert answer("slack", challenge, signed=True) == (200, b"c", "text/plain")
    assert answer("microsoft_graph", query=b"validationToken=a%20b") == (200, b"a b", "text/plain")
    assert answer("meta", method="GET", query=_meta(b"1158201444")) == (200, b"1158201444", "text/plain")
    assert answer("discord_events", b'{"version": 1, "type": 0}', signed=True)[:2] == (204, b"")


def _meta(challenge: bytes) -> bytes:
    (token,) = SHAPES["meta"].settings["verify_token"]
    return b"hub.mode=subscribe&hub.verify_token=" + token.encode() + b"&hub.challenge=" + challenge


@pytest.mark.parametrize("name", ["airtable", "xero", "okta", "discord_events"])
def test_an_answer_that_must_be_empty_is(name: str) -> None:
    accepted = SHAPES[name].source().accepted

    assert accepted is not None
    assert accepted.body == b""


NOT_ASCII = ["\xff\xfe", "é" * 64, "v1=é", "sha256=\xff", "=====", "%%%", "t=é,v1=\xff", "Bearer \xff", "Basic \xff"]


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.proofs() and shape.proved])
def test_a_signature_that_is_no_ascii_hex_or_base64_is_refused_and_nothing_raises(name: str) -> None:
    shape = SHAPES[name]
    sent = shape.genuine()
    for header in shape.proofs() & {*sent.headers}:
        for text in NOT_ASCII:
            changed = replace(sent, headers={**sent.headers, header: text})
            assert not _admitted(name, _arrived(name, changed)), text


def test_signatures_and_keys_are_taken_in_the_provider_s_own_encoding_alone() -> None:
    for name, header, decode in (
        ("discord", "x-signature-ed25519", bytes.fromhex),
        ("telnyx", "telnyx-signature-ed25519", base64.b64decode),
        ("sendgrid", "x-twilio-email-event-webhook-signature", base64.b64decode),
    ):
        sent = SHAPES[name].genuine()
        mark = sent.headers[header]
        raw = decode(mark)
        safe = base64.urlsafe_b64encode(raw).decode()
        others = {
            raw.hex(),
            base64.b64encode(raw).decode(),
            mark.rstrip("="),
            safe.rstrip("="),
            mark + "00",
            mark + "=",
        }
        for other in others - {mark}:
            assert not _admitted(name, _arrived(name, replace(sent, headers={**sent.headers, header: other}))), name


def test_sendgrid_s_signature_is_der_and_not_the_two_numbers_alone() -> None:
    sent = SHAPES["sendgrid"].genuine()
    header = "x-twilio-email-event-webhook-signature"
    r, s = decode_dss_signature(base64.b64decode(sent.headers[header]))
    raw = base64.b64encode(r.to_bytes(32) + s.to_bytes(32)).decode()

    assert not _admitted("sendgrid", _arrived("sendgrid", replace(sent, headers={**sent.headers, header: raw})))


@pytest.mark.parametrize("name", ["google_pubsub", "azure_event_grid_entra", "telegram", "okta", "microsoft_graph"])
def test_a_token_that_covers_no_body_is_never_called_a_signature(name: str) -> None:
    shape = SHAPES[name]

    assert shape.source().verification == "token"
    assert not shape.source().id_is_signed


@pytest.mark.parametrize("name", ["slack", "zoom", "twitch", "discord", "aws_sns"])
def test_a_challenge_that_is_signed_is_not_answered_unsigned(name: str) -> None:
    asked = [each for each in SHAPES[name].asked if each.signed]
    assert asked
    for each in asked:
        bare = request(each.body, {"content-type": each.content_type, **each.sent}, method=each.method)
        assert not _admitted(name, bare)


@pytest.mark.parametrize("name", ["notion", "asana"])
def test_a_secret_that_arrives_is_never_taken_by_admission_itself(name: str) -> None:
    """It is only told of: the edge takes it while the operator has opened the source, and refuses it otherwise."""
    shape = SHAPES[name]
    asked = next(each for each in shape.asked if each.pairing)
    bare = request(asked.body, {"content-type": asked.content_type, **asked.sent}, method=asked.method)
    target = shape.source()

    admission = target.admit(bare, NOW_US)

    assert isinstance(admission, Handshake)
    assert admission.pairing == asked.pairing
    assert target.pairs
    assert _admitted(name, _arrived(name, shape.genuine()))


@pytest.mark.parametrize("name", ["stripe", "slack", "standard_webhooks", "paddle", "zendesk", "discord"])
def test_a_time_too_far_ahead_is_refused_as_well(name: str) -> None:
    shape = SHAPES[name]

    admission = shape.admit(shape.source(), _arrived(name, shape.genuine()), shape.at_us - 3_600 * SECOND)

    assert isinstance(admission, Rejected)
    assert admission.reason == "timestamp_future"


@pytest.mark.parametrize("name", _covering())
def test_forged_bytes_that_are_no_text_are_refused_like_any_other(name: str) -> None:
    sent = msgspec.structs.replace(_arrived(name, SHAPES[name].genuine()), body=b"\xff\xfe\x80")

    assert not _admitted(name, sent)


def test_two_secrets_are_tried_for_every_provider_that_has_one() -> None:
    for name, shape in SHAPES.items():
        if shape.secret is None or shape.provider.secrets == "none":
            continue
        admission = shape.admit(shape.source(shape.other, shape.secret), _arrived(name, shape.genuine()))
        assert isinstance(admission, Events), name
        assert admission.secret == "s1", name


def test_no_header_of_the_sender_s_replaces_a_secret() -> None:
    for name in ("stripe", "github", "slack"):
        shape = SHAPES[name]
        forged = shape.sign(shape.example(), shape.other)
        named = dict.fromkeys(("x-djstripe-webhook-secret", "stripe-webhook-secret", "x-secret"), shape.other or "")
        assert not _admitted(name, _arrived(name, replace(forged, headers={**forged.headers, **named})))


def test_a_secret_shows_itself_nowhere() -> None:
    assert PLAIN not in repr(Secret("a", PLAIN))
