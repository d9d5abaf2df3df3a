"""Requests signed by the official libraries, over HTTP to a running gateway; and what `send` signs, judged by them."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.senders import (
    CONFIG,
    SENDERS,
    Delivery,
    JudgingServer,
    deliver,
    post,
    slack_headers,
    write_secrets,
)
from tests.running import RunningGateway, running, until

JSON = ("--config", "gateway.yaml", "--output", "json")
Sender = Callable[[int], Delivery]
EVERY_SENDER = pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS.keys())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[RunningGateway]:
    folder = write_secrets(tmp_path_factory.mktemp("official"))
    with running(folder, config=CONFIG) as started:
        yield started


def shown(gateway: RunningGateway, delivery: Delivery) -> dict[str, Any]:
    """Return what `events show` says of a delivery's event, once its handler is done."""

    def ask() -> dict[str, Any] | None:
        said = gateway.command("events", "show", delivery.source, delivery.id, *JSON)
        assert said.returncode == 0, said.stderr
        event: dict[str, Any] = json.loads(said.stdout)
        return event if [handler["state"] for handler in event["handlers"]] == ["done"] else None

    event = until(ask, what="a handled event")
    assert event is not None
    return event


@EVERY_SENDER
def test_what_an_official_library_signs_is_accepted_stored_and_handled(gateway, sender: Sender):
    delivery = sender(1)

    answer = deliver(gateway, delivery)

    assert answer.status == 200
    event = shown(gateway, delivery)
    body = event["body"].encode() if "body" in event else base64.b64decode(event["body_base64"])
    at = None if event["time"] is None else int(datetime.fromisoformat(event["time"]).timestamp())
    assert (event["id"], event["type"], event["key"], at) == (delivery.id, delivery.type, delivery.key, delivery.time)
    assert body == (delivery.body if delivery.stored is None else delivery.stored)
    assert gateway.effects().count(delivery.id) == 1


@EVERY_SENDER
def test_a_second_copy_is_acknowledged_and_not_stored(gateway, sender: Sender):
    delivery = sender(2)

    answers = [deliver(gateway, delivery).status for _ in range(3)]

    assert answers == [200, 200, 200]
    assert gateway.stored_ids().count(delivery.id) == 1


@EVERY_SENDER
def test_a_forged_one_is_refused_and_nothing_is_stored(gateway, sender: Sender):
    delivery = sender(3)
    before = gateway.stored_ids()

    answer = deliver(gateway, delivery.forged)

    assert (answer.status, json.loads(answer.body)) == (401, {"status": "refused", "reason": "unverified"})
    assert gateway.stored_ids() == before


def test_slack_gets_its_challenge_back_and_nothing_is_stored(gateway):
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"})
    before = gateway.stored_ids()

    answer = post(gateway.port, "/webhooks/slack", body.encode(), slack_headers(body))

    assert (answer.status, answer.body) == (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY")
    assert gateway.stored_ids() == before


def test_a_twilio_signature_for_another_url_is_refused(gateway):
    delivery = SENDERS["twilio get"](4)
    elsewhere = {**delivery.headers, "host": "hooks.example.com", "x-forwarded-host": "evil.example"}

    answer = post(gateway.port, f"/webhooks/twilio?{delivery.query}&Body=more", b"", elsewhere, method="GET")

    assert answer.status == 401


SENT = [
    pytest.param("stripe", "invoice.paid", id="stripe"),
    pytest.param("slack", "message", id="slack event"),
    pytest.param("slack", "/deploy", id="slack command"),
    pytest.param("slack", "block_actions", id="slack interaction"),
    pytest.param("twilio", "message.received", id="twilio form"),
    pytest.param("twilio", "com.twilio.messaging.message.delivered", id="twilio json"),
    pytest.param("standard", "contact.created", id="standard webhooks"),
    pytest.param("svix", "contact.created", id="svix"),
]


@pytest.mark.parametrize("source,event_type", SENT)
def test_the_official_library_verifies_what_send_sends(gateway, source, event_type):
    with JudgingServer() as judge:
        said = gateway.command("send", source, event_type, "--config", "gateway.yaml", "--url", judge.url(source))

    assert said.returncode == 0, said.stdout + said.stderr
    assert judge.verdicts == [True]


@pytest.mark.parametrize("source", ["stripe", "slack", "twilio", "standard", "svix"])
def test_the_official_library_refuses_what_send_forges(gateway, source):
    with JudgingServer() as judge:
        said = gateway.command("send", source, "--forge", "--config", "gateway.yaml", "--url", judge.url(source))

    assert said.returncode == 0, said.stdout + said.stderr
    assert judge.verdicts == [False]


# Twilio signs no time, and its library asks for none.
@pytest.mark.parametrize("source", ["stripe", "slack", "standard", "svix"])
def test_the_official_library_refuses_what_send_signs_as_stale(gateway, source):
    with JudgingServer() as judge:
        said = gateway.command("send", source, "--stale", "--config", "gateway.yaml", "--url", judge.url(source))

    assert said.returncode == 0, said.stdout + said.stderr
    assert judge.verdicts == [False]
