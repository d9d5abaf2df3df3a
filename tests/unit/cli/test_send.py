"""`send` against a small real server that verifies as the edge does."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from gateway import wiring
from gateway.config.load import load
from gateway.core.admission import Events, Request
from gateway.core.source import Source
from gateway.wiring.sources import paired, recompiled
from tests.commands import Commands

PUBLIC_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # of RFC 8032, section 7.1

CONFIG = """\
server: {{port: {port}, admin_port: 2, public_url: "http://127.0.0.1:{port}/"}}
sources:
  stripe: {{provider: stripe, secrets: [{{dev: whsec_canary}}]}}
  github: {{provider: github, secrets: [{{dev: canary}}]}}
  shopify: {{provider: shopify, secrets: [{{dev: canary}}]}}
  slack: {{provider: slack, secrets: [{{dev: canary}}]}}
  gitlab: {{provider: gitlab, secrets: [{{dev: canary}}]}}
  twilio: {{provider: twilio, secrets: [{{dev: canary}}]}}
  standard: {{provider: standard_webhooks, secrets: [{{dev: whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5}}]}}
  asana: {{provider: asana}}
  discord: {{provider: discord, secrets: [{{dev: "{public}"}}]}}
  acme:
    provider: custom
    secrets: [{{dev: canary}}]
    scheme: {{signature: {{header: x-signature}}}}
    event: {{id: "json:id", type: "json:type"}}
"""


class Server(http.server.ThreadingHTTPServer):
    """Answers as the edge: verified or not, and known or not."""

    sources: dict[str, Source]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Request] = []
        self.ids: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            query=parts.query.encode(),
            headers={name.lower().encode(): value.encode("latin-1") for name, value in self.headers.items()},
            repeated=frozenset(),
            body=self.rfile.read(int(self.headers.get("content-length", 0))),
            received_us=time.time_ns() // 1000,
            delivery_id="d",
        )
        self.server.seen.append(request)
        decision = self.server.sources[parts.path.rpartition("/")[2]].admit(request, request.received_us)
        if not isinstance(decision, Events):
            return self.answer(401, "refused")
        known = decision.events[0].id in self.server.ids
        self.server.ids.append(decision.events[0].id)
        return self.answer(200, "duplicate" if known else "accepted")

    def answer(self, status: int, word: str) -> None:
        body = json.dumps({"status": word}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("gateway-delivery-id", "d1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    serving = Server()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/gateway.yaml").write_text(CONFIG.format(port=serving.server_port, public=PUBLIC_KEY))
    serving.sources = dict(wiring.sources(load(tmp_path / "config/gateway.yaml", {})))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path, capsys) -> Commands:
    return Commands(tmp_path, capsys)


@pytest.mark.parametrize("source", ["stripe", "github", "shopify", "slack", "gitlab", "twilio", "standard", "acme"])
def test_a_signed_delivery_is_accepted(server, run, source):
    (row,) = run.lines("send", source)

    assert (row["status"], json.loads(row["body"]), row["delivery_id"]) == (200, {"status": "accepted"}, "d1")


def test_the_secret_of_a_paired_source_signs(server, run, tmp_path):
    refused = run("send", "asana")
    handed_over = tmp_path / "var/paired/asana"
    handed_over.parent.mkdir(parents=True)
    handed_over.write_text("canary-of-asana")
    settings = load(tmp_path / "config/gateway.yaml", {})
    server.sources["asana"] = recompiled(settings, "asana", paired(settings)["asana"])

    (row,) = run.lines("send", "asana")

    assert (refused.status, row["status"]) == (1, 200)
    assert "`gateway pair asana`" in refused.err


def test_without_a_private_key_it_says_what_to_configure(server, run):
    ran = run("send", "discord")

    assert ran.status == 1
    assert "a private key of your own (PEM)" in ran.err


def test_type_id_and_body_can_be_chosen(server, run, tmp_path):
    (tmp_path / "body.json").write_bytes(b'{"id": "evt_chosen",  "type": "a.b"}')

    run.lines("send", "stripe", "a.b", "--file", "body.json")

    assert server.seen[0].body == b'{"id": "evt_chosen",  "type": "a.b"}'
    assert server.ids == ["evt_chosen"]


def test_an_id_can_be_chosen_for_an_example(server, run):
    run.lines("send", "stripe", "invoice.paid", "--id", "evt_42")

    assert server.ids == ["evt_42"]


def test_a_duplicate_is_sent_twice_and_known_the_second_time(server, run):
    first, second = run.lines("send", "stripe", "--duplicate")

    assert [json.loads(row["body"])["status"] for row in (first, second)] == ["accepted", "duplicate"]
    assert server.seen[0].body == server.seen[1].body


@pytest.mark.parametrize("words", [("stripe", "--stale"), ("stripe", "--forge"), ("github", "--forge")], ids=" ".join)
def test_a_stale_or_forged_delivery_is_refused_as_expected(server, run, words):
    (row,) = run.lines("send", *words)

    assert (row["expected"], row["status"]) == ("refused", 401)


def test_an_answer_that_is_not_the_expected_one_ends_with_1(server, run):
    assert run("send", "github", "--stale").status == 1  # GitHub signs no time, so it is accepted


def test_a_type_without_an_example_lists_those_there_are(server, run):
    ran = run("send", "stripe", "no.such")

    assert ran.status == 2
    assert "invoice.paid" in ran.err
    assert server.seen == []


def test_an_unknown_source_lists_the_configured_ones(server, run):
    ran = run("send", "strip")

    assert ran.status == 2
    assert "configured: acme, asana, discord, github" in ran.err


def test_where_nobody_listens_it_ends_with_3_and_says_what_to_start(server, run):
    ran = run("send", "stripe", "--url", "http://127.0.0.1:1/webhooks/stripe")

    assert ran.status == 3
    assert "is `gateway run` running?" in ran.err


@pytest.mark.parametrize("url", ["ftp://x", "nothing", "http://"])
def test_a_url_must_be_one(server, run, url):
    assert run("send", "stripe", "--url", url).status == 2


def test_no_secret_is_shown(server, run):
    ran = run("send", "stripe")

    assert "whsec_canary" not in ran.out + ran.err
