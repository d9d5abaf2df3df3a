"""The libraries of productivity providers as signers of what we verify, and as verifiers of what we sign."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from box_sdk_gen.internal.utils import compute_webhook_signature  # type: ignore[import-untyped] # it ships no types
from box_sdk_gen.managers.webhooks import WebhooksManager  # type: ignore[import-untyped] # as above
from dropbox_sign.event_callback_helper import EventCallbackHelper
from dropbox_sign.models.event_callback_request import EventCallbackRequest
from hubspot.utils.signature import Signature  # type: ignore[import-untyped] # as above

from gateway.core.admission import Events, Rejected
from gateway.providers import PROVIDERS
from tests.admitting import FORM, JSON, NOW, NOW_US, PLAIN, SECOND, URL, only, request, signed, source

BOX_TIME = "2023-11-14T14:13:20-08:00"
BOX = {"box-delivery-timestamp": BOX_TIME, "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}
NAMES = (
    "plain.txt",
    "\u30b9\u30af\u30ea\u30fc\u30f3.txt",
    "\U0001f600.txt",
    'a "quoted" one',
    "back\\slash",
    "tab\tand\x7f",
    "caf\u00e9 / \u2028",
)


def _box_body(name: str, *, ascii_only: bool, indent: int | None = None) -> str:
    event = {"id": "1", "trigger": "FILE.UPLOADED", "webhook": {"id": "53"}, "source": {"id": "2", "name": name}}
    return json.dumps(event, ensure_ascii=ascii_only, indent=indent)


def _box_bodies() -> list[str]:
    written = [_box_body(name, ascii_only=flag) for name in NAMES for flag in (True, False)]
    return [*written, written[2].replace("/", "\\/"), _box_body("x", ascii_only=True, indent=2)]


@pytest.mark.parametrize("form", ["as it is", "escaped"])
@pytest.mark.parametrize("body", _box_bodies())
@pytest.mark.parametrize("header", ["primary", "secondary"])
def test_what_box_signs_as_it_is_or_escaped_is_admitted(body: str, form: str, header: str) -> None:
    signature = compute_webhook_signature(body, BOX, PLAIN, escape_body=form == "escaped")
    assert signature is not None
    arrived = request(body.encode(), {**BOX, f"box-signature-{header}": signature})

    assert only(source("box").admit(arrived, NOW_US)).id == "53:1"


def test_box_verifies_what_we_sign() -> None:
    at_us = (int(time.time()) - 1) * SECOND
    sent = signed(source("box"), "box", now_us=at_us)

    assert WebhooksManager.validate_message(sent.body.decode(), dict(sent.headers), PLAIN)
    assert not WebhooksManager.validate_message(sent.body.decode(), dict(sent.headers), "another")


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_what_hubspot_signs_is_admitted(version: str) -> None:
    body, stamp = json.dumps([{"portalId": 33}]), str(NOW * 1_000)
    signature = Signature.get_signature(PLAIN, body, version, URL, "POST", stamp)
    new = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": stamp}
    old = {"x-hubspot-signature": signature, "x-hubspot-signature-version": version}
    target = source("hubspot", values={"oldest_signature": ("v1",)})

    assert isinstance(target.admit(request(body.encode(), new if version == "v3" else old), NOW_US), Events)
    assert isinstance(target.admit(request(b"[]", new if version == "v3" else old), NOW_US), Rejected)


def test_hubspot_verifies_what_we_sign() -> None:
    sent = signed(source("hubspot"), "hubspot", now_us=int(time.time()) * SECOND)
    stamp = sent.headers["x-hubspot-request-timestamp"]

    assert Signature.is_valid(
        sent.headers["x-hubspot-signature-v3"], PLAIN, sent.body.decode(), URL, "POST", "v3", stamp
    )


def _callback(body: bytes) -> Any:
    found = EventCallbackRequest.init(json.loads(body))
    assert found is not None
    return found


@pytest.mark.parametrize("event_type", PROVIDERS["dropbox_sign"].examples)
def test_dropbox_sign_verifies_what_we_sign(event_type: str) -> None:
    sent = signed(source("dropbox_sign"), "dropbox_sign", event_type)

    assert EventCallbackHelper.is_valid(PLAIN, _callback(sent.body))
    assert not EventCallbackHelper.is_valid("another", _callback(sent.body))


def test_what_dropbox_sign_takes_is_admitted_in_a_form() -> None:
    digest = hmac.new(PLAIN.encode(), f"{NOW}account_confirmed".encode(), hashlib.sha256).hexdigest()
    body = json.dumps({"event": {"event_type": "account_confirmed", "event_time": str(NOW), "event_hash": digest}})
    assert EventCallbackHelper.is_valid(PLAIN, _callback(body.encode()))

    for sent, content_type in ((body, JSON), (urlencode({"json": body}), FORM)):
        arrived = request(sent.encode(), {"content-type": content_type})
        assert only(source("dropbox_sign").admit(arrived, NOW_US)).type == "account_confirmed"


def test_a_box_signature_of_neither_form_is_refused() -> None:
    wrong = base64.b64encode(hmac.digest(PLAIN.encode(), b"{}", "sha256")).decode()

    assert isinstance(source("box").admit(request(b"{}", {**BOX, "box-signature-primary": wrong}), NOW_US), Rejected)
