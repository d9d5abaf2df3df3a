"""Requests as the providers' official libraries sign them, and those libraries as the judges of what `send` signs."""

import http.client
import http.server
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import standardwebhooks
import stripe
import svix.webhooks
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped] # it ships no types

from tests.running import RunningGateway
from tests.sender import GITHUB_SECRET, STRIPE_SECRET, Answer

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC_URL = "https://hooks.example.com"
FORM = "application/x-www-form-urlencoded; charset=UTF-8"

# TEST_GITHUB_SECRET is the text that a running gateway of the tests has in its environment: any text will do.
CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
sources:
  stripe: {{provider: stripe, secrets: [{{env: TEST_STRIPE_SECRET}}]}}
  github: {{provider: github, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
  slack: {{provider: slack, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
  twilio:
    provider: twilio
    secrets: [{{env: TEST_GITHUB_SECRET}}]
    public_url: https://hooks.example.com/webhooks/twilio
  standard: {{provider: standard_webhooks, secrets: [{{file: whsec}}]}}
  svix: {{provider: svix, secrets: [{{file: whsec}}]}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
"""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A signed request, and what the gateway must make of it. Times in seconds since the epoch."""

    source: str
    id: str
    type: str
    key: str
    body: bytes
    headers: Mapping[str, str]
    time: int | None = None
    query: str = ""
    method: str = "POST"
    stored: bytes | None = None  # if it is not the body

    @property
    def forged(self) -> Self:
        """The same with one character of what is signed changed, and nothing else."""
        if self.body:
            return replace(self, body=self.body.replace(self.id.encode(), self.id.encode()[:-1] + b"_"))
        return replace(self, query=self.query + "0")


def from_stripe(number: int) -> Delivery:
    name, now = f"evt_{number}", int(time.time())
    body = json.dumps(
        {"id": name, "type": "invoice.paid", "created": now - 60, "data": {"object": {"id": "in_1", "note": "żółć ☃"}}},
        ensure_ascii=False,
    )
    header = stripe.WebhookSignature.generate_signature_header(body, STRIPE_SECRET)
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": header}
    return Delivery(
        source="stripe",
        id=name,
        type="invoice.paid",
        key="in_1",
        time=now - 60,
        body=body.encode(),
        headers=headers,
    )


def from_slack(number: int) -> Delivery:
    name, now = f"Ev{number}", int(time.time())
    event = {"type": "message", "channel": "C1", "text": "a & b"}
    body = json.dumps({"type": "event_callback", "event_id": name, "event_time": now - 5, "event": event})
    return Delivery(
        source="slack", id=name, type="message", key="C1", time=now - 5, body=body.encode(), headers=slack_headers(body)
    )


def slack_headers(body: str, content_type: str = "application/json") -> dict[str, str]:
    now = str(int(time.time()))
    signature = SignatureVerifier(GITHUB_SECRET).generate_signature(timestamp=now, body=body)
    assert signature is not None
    return {"content-type": content_type, "x-slack-request-timestamp": now, "x-slack-signature": signature}


def from_slack_command(number: int) -> Delivery:
    name = f"trigger.{number}"
    fields = {"command": "/deploy", "text": "a+b & c", "user_id": "U1", "channel_id": "C1", "trigger_id": name}
    body = urlencode(fields)
    return Delivery(
        source="slack", id=name, type="/deploy", key="U1:C1", body=body.encode(), headers=slack_headers(body, FORM)
    )


def from_twilio_form(number: int) -> Delivery:
    name = f"SM{number}"
    fields = {"MessageSid": name, "Body": "héllo & = + %20", "SmsStatus": "received", "Empty": ""}
    signature = RequestValidator(GITHUB_SECRET).compute_signature(f"{PUBLIC_URL}/webhooks/twilio", fields)
    return Delivery(
        source="twilio",
        id=name,
        type="message.received",
        key=name,
        body=urlencode(fields).encode(),
        headers={"content-type": FORM, "x-twilio-signature": signature, "host": "10.0.0.7:8080"},
    )


def from_twilio_json(number: int) -> Delivery:
    name = f"EZ{number}"
    element = json.dumps({"id": name, "type": "com.twilio.x", "time": "2026-01-02T03:04:05Z", "subject": "SM1"})
    body = f"[{element}]"
    validator = RequestValidator(GITHUB_SECRET)
    query = f"bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(f"{PUBLIC_URL}/webhooks/twilio?{query}", {})
    return Delivery(
        source="twilio",
        id=name,
        type="com.twilio.x",
        key="SM1",
        time=int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()),
        body=body.encode(),
        headers={"content-type": "application/json", "x-twilio-signature": signature},
        query=query,
        stored=element.encode(),
    )


def from_twilio_get(number: int) -> Delivery:
    name = f"SMget{number}"
    query = urlencode({"MessageSid": name, "SmsStatus": "received", "Body": "a b"})
    signature = RequestValidator(GITHUB_SECRET).compute_signature(f"{PUBLIC_URL}/webhooks/twilio?{query}", {})
    return Delivery(
        source="twilio",
        id=name,
        type="message.received",
        key=name,
        body=b"",
        headers={"x-twilio-signature": signature},
        query=query,
        method="GET",
        stored=query.encode(),
    )


def _message(source: str, family: str, name: str, sign: Callable[[str, datetime, str], str]) -> Delivery:
    now = datetime.now(tz=UTC).replace(microsecond=0)
    body = json.dumps(
        {"id_of": name, "type": "user.created", "timestamp": "2026-01-02T03:04:05Z", "data": {"id": "u1"}}
    )
    headers = {
        "content-type": "application/json",
        f"{family}-id": name,
        f"{family}-timestamp": str(int(now.timestamp())),
        f"{family}-signature": sign(name, now, body),
    }
    return Delivery(
        source=source,
        id=name,
        type="user.created",
        key="u1",
        time=int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()),
        body=body.encode(),
        headers=headers,
    )


def from_standard_webhooks(number: int) -> Delivery:
    return _message("standard", "webhook", f"msg_{number}", standardwebhooks.Webhook(WHSEC).sign)


def from_svix(number: int) -> Delivery:
    return _message("svix", "svix", f"msg_svix_{number}", svix.webhooks.Webhook(WHSEC).sign)


SENDERS: Mapping[str, Callable[[int], Delivery]] = {
    "stripe": from_stripe,
    "slack event": from_slack,
    "slack command": from_slack_command,
    "twilio form behind a proxy": from_twilio_form,
    "twilio json": from_twilio_json,
    "twilio get": from_twilio_get,
    "standard webhooks": from_standard_webhooks,
    "svix": from_svix,
}


def deliver(gateway: RunningGateway, delivery: Delivery) -> Answer:
    """Send it to the running gateway, on a connection of its own."""
    path = f"/webhooks/{delivery.source}" + (f"?{delivery.query}" if delivery.query else "")
    return post(gateway.port, path, delivery.body, delivery.headers, method=delivery.method)


def post(port: int, path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def write_secrets(folder: Path) -> Path:
    """Write the secrets that the configuration reads from files; return the folder."""
    (folder / "whsec").write_text(WHSEC + "\n")
    return folder


Judge = Callable[[bytes, Mapping[str, str], str], bool]


def _raises_not(check: Callable[[], Any]) -> bool:
    try:
        check()
    except (
        ValueError,
        stripe.SignatureVerificationError,
        standardwebhooks.WebhookVerificationError,
        svix.webhooks.WebhookVerificationError,
    ):
        return False
    return True


def _twilio_judges(body: bytes, headers: Mapping[str, str], query: str) -> bool:
    url = f"{PUBLIC_URL}/webhooks/twilio" + (f"?{query}" if query else "")
    is_form = headers["content-type"].startswith("application/x-www-form-urlencoded")
    signed = dict(parse_qsl(body.decode(), keep_blank_values=True)) if is_form else body.decode("utf-8", "replace")
    return bool(RequestValidator(GITHUB_SECRET).validate(url, signed, headers["x-twilio-signature"]))


# What each library says of a request.
JUDGES: Mapping[str, Judge] = {
    "stripe": lambda body, headers, _: _raises_not(
        lambda: stripe.WebhookSignature.verify_header(
            body.decode("utf-8", "replace"), headers["stripe-signature"], STRIPE_SECRET, tolerance=300
        )
    ),
    "slack": lambda body, headers, _: SignatureVerifier(GITHUB_SECRET).is_valid_request(body, dict(headers)),
    "twilio": _twilio_judges,
    "standard": lambda body, headers, _: _raises_not(
        lambda: standardwebhooks.Webhook(WHSEC).verify(body, dict(headers))
    ),
    "svix": lambda body, headers, _: _raises_not(lambda: svix.webhooks.Webhook(WHSEC).verify(body, dict(headers))),
}


@dataclass
class JudgingServer:
    """Answers as an endpoint that verifies with the provider's library does. Its path names the source."""

    verdicts: list[bool] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                verdict = JUDGES[parts.path.rpartition("/")[2]](body, headers, parts.query)
                outer.verdicts.append(verdict)
                said = b'{"status":"accepted"}' if verdict else b'{"status":"refused"}'
                self.send_response(200 if verdict else 401)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def url(self, source: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{source}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
