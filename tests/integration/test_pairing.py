"""A provider that sends its secret at run time, against a whole gateway: `gateway pair`, a kill, and a restart."""

import hashlib
import hmac
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.senders import post
from tests.running import RunningGateway, running, until

SECRET = "the-secret-that-hooked-sent"

PROVIDER = """
from gateway.core.admission import Handshake
from gateway.core.provider import Challenge, Mac, Provider, Scheme, Shape
from gateway.core.source import Ack


def reply(request, terms):
    secret = request.headers.get(b"x-hook-secret", b"").decode("latin-1")
    return Handshake(Ack(headers=(("x-hook-secret", secret),)), pairing=secret)


HOOKED = Provider(
    name="hooked",
    title="Hooked",
    category="other",
    schemes=(Scheme(header="x-hook-signature", macs=(Mac(),)),),
    shapes=(Shape(id="json:id"),),
    key_hint="the secret of the hook",
    secrets="paired",
    challenges=(Challenge(when="header:x-hook-secret", signed=False, reply=reply),),
)
"""

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{path: var, min_free: 1MiB}}
sources:
  hooked: {{provider: hooked}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that knows a provider of an installed package."""
    folder: Path = tmp_path_factory.mktemp("hooked")
    (folder / "hooked.py").write_text(PROVIDER)
    installed = folder / "hooked-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: hooked\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[gateway.providers]\nhooked = hooked:HOOKED\n")
    with running(folder, config=CONFIG, words="serve") as started:
        yield started


def handshake(gateway: RunningGateway, secret: str = SECRET) -> int:
    return post(gateway.port, "/webhooks/hooked", b"", {"x-hook-secret": secret}).status


def deliver(gateway: RunningGateway, number: int) -> int:
    body = json.dumps({"id": f"e{number}"}).encode()
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return post(gateway.port, "/webhooks/hooked", body, {"x-hook-signature": signed}).status


def pair(gateway: RunningGateway, *words: str) -> dict[str, object]:
    ran = gateway.command("pair", "hooked", "--config", "gateway.yaml", "--output", "json", *words)
    assert ran.returncode == 0, ran.stderr
    assert "--reveal" in words or SECRET not in ran.stdout + ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_a_secret_is_taken_while_the_operator_has_the_source_open_and_outlives_a_kill(gateway):
    assert (handshake(gateway), deliver(gateway, 1)) == (401, 401)

    opened = pair(gateway, "--for", "5m")
    assert 290 <= int(str(opened["open_seconds"])) <= 300
    assert handshake(gateway) == 200

    assert deliver(gateway, 1) == 200
    assert handshake(gateway, "another") == 401
    assert gateway.control("edge", "pair", source="hooked") == {"open_seconds": 0, "paired": True}
    path = gateway.log_path / "paired" / "hooked"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pair(gateway, "--reveal") == {"source": "hooked", "file": "var/paired/hooked", "secret": SECRET}

    gateway.kill("edge")
    assert until(lambda: _answered(gateway), what="the edge's return") == 200
    assert handshake(gateway) == 200, "its answer may have been lost"
    told = gateway.admin("/metrics")[1]
    assert 'gateway_secret_matched_total{secret="paired",source="hooked"} 1.0' in told
    assert SECRET not in gateway.output.read_text()


def _answered(gateway: RunningGateway) -> int:
    try:
        return deliver(gateway, 2)
    except OSError:
        return 0
