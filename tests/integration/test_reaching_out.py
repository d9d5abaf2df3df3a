"""A whole gateway whose handlers fetch from an API, and send events on."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.fault_rig import accept, dead, effects, stripe
from tests.running import running, until

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()
CREDENTIAL = "rk_never_to_be_seen"

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
sources:
  stripe:
    provider: stripe
    secrets: [{{env: TEST_STRIPE_SECRET}}]
    fetch: {{credential: {{env: TEST_API_KEY}}, hosts: ["API"], private: true, object: "http://API/invoices/{{json:id}}"}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
  forward: {{use: "forward:router"}}
"""

LEDGER = """
from gateway import Context, Event, Router

router = Router("ledger", schema="create table if not exists effect (id text, status text)")


@router.on("*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    row = {"id": event.id, "status": (await ctx.fetch()).json()["status"]}
    await ctx.tx.execute("insert into effect (id, status) values (:id, :status)", row)
"""


class Api(ThreadingHTTPServer):
    """Gives invoices to who has the key, and takes what is sent on; it refuses event 2."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Conversation(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        known = self.headers["authorization"] == f"Bearer {CREDENTIAL}"
        self._answer(200 if known else 401, json.dumps({"status": "paid", "at": self.path}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self._answer(410 if b"evt_2" in body else 204)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's signature
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_handlers_fetch_and_send_on_in_a_running_gateway(tmp_path, api, monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", CREDENTIAL)
    monkeypatch.setenv("FORWARD_TO", f"http://{api.place}/hooks")
    monkeypatch.setenv("FORWARD_SECRET", SECRET)
    monkeypatch.setenv("FORWARD_PRIVATE", "yes")
    handlers = {"ledger_handlers": LEDGER, "forward": (ROOT / "handlers" / "forward.py").read_text()}
    with running(
        tmp_path, config=CONFIG.replace("API/", f"{api.place}/").replace('"API"', f'"{api.place}"'), handlers=handlers
    ) as gateway:
        accept(gateway, stripe("evt_1"), stripe("evt_2"))
        until(lambda: sorted(effects(gateway)) == ["evt_1", "evt_2"], what="the effects of what was fetched")
        until(lambda: len(api.taken) == 2, what="the events sent on")
        (letter,) = until(lambda: dead(gateway, "forward"), what="the refused event's dead letter")
        gateway.stop()

    for headers, body in api.taken:
        Webhook(SECRET).verify(body, headers)
    assert letter.error.endswith("127.0.0.1 answered 410")
    assert CREDENTIAL not in gateway.output.read_text()
