"""What bad input gets at the real port: a documented answer, nothing stored, and a gateway that goes on."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.edge import BODY, SECRET, Peer, Response, raw_request, signature
from tests.integration.test_edge_input import ODD_BODIES, REFUSED
from tests.running import RunningGateway, running, until
from tests.sender import GITHUB_SECRET, STRIPE_SECRET, github_headers, stripe_headers

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
sources:
  stripe: {{provider: stripe, secrets: [{{env: TEST_STRIPE_SECRET}}]}}
  github: {{provider: github, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
  acme:
    provider: custom
    secrets: [{{file: acme}}]
    max_body: 1000B
    scheme: {{signature: {{header: x-signature}}}}
    event: {{id: "json:id", type: "json:kind"}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
"""

REASONS = {
    400: "malformed",
    401: "unverified",
    404: "unknown_source",
    405: "method",
    413: "too_large",
}

BODY_OF_STRIPE = b'{"id":"evt_bad","type":"invoice.paid","created":1,"data":{"object":{"id":"in_1"}}}'
NOW = int(time.time())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("bad input")
    (folder / "acme").write_bytes(SECRET)
    with running(folder, config=CONFIG) as started:
        yield started


@pytest.fixture(autouse=True)
def healthy_afterwards(gateway) -> Iterator[None]:
    yield
    status, text = gateway.admin("/readyz?verbose")
    assert status == 200, text
    assert "Traceback" not in gateway.output.read_text()


async def ask(gateway: RunningGateway, data: bytes) -> Response:
    """Send bytes on a connection of their own; return the answer, which must come before the client gives up."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", gateway.port))
    try:
        await peer.send(data)
        return await peer.response()
    finally:
        peer.close()


@pytest.mark.parametrize("data,status", REFUSED)
async def test_bad_input_gets_its_documented_answer_and_nothing_is_stored(gateway, data, status):
    before = gateway.stored_ids()

    answer = await ask(gateway, data)

    assert (answer.status, answer.word) == (status, REASONS[status])
    assert answer.headers["gateway-delivery-id"]
    assert gateway.stored_ids() == before


def mac(stamp: str, body: bytes = BODY_OF_STRIPE) -> str:
    return hmac.new(STRIPE_SECRET.encode(), stamp.encode("latin-1") + b"." + body, hashlib.sha256).hexdigest()


GOOD = f"t={NOW},v1={mac(str(NOW))}"

# Stripe-Signature headers, each with one thing wrong.
SIGNATURES = [
    pytest.param([], id="absent"),
    pytest.param([GOOD, GOOD], id="repeated"),
    pytest.param([""], id="empty"),
    pytest.param([f"t={NOW}"], id="without a signature"),
    pytest.param([f"v1={mac(str(NOW))}"], id="without a timestamp"),
    pytest.param([f"t=,v1={mac('')}"], id="an empty timestamp"),
    pytest.param([f"t={NOW}.5,v1={mac(f'{NOW}.5')}"], id="a fractional timestamp"),
    pytest.param([f"t=-1,v1={mac('-1')}"], id="a negative timestamp"),
    pytest.param([f"t=0,v1={mac('0')}"], id="the epoch"),
    pytest.param([f"t={NOW}0,v1={mac(f'{NOW}0')}"], id="a timestamp of the far future"),
    pytest.param([f"t={'9' * 5000},v1={mac('9' * 5000)}"], id="an oversized timestamp"),
    pytest.param([f"t=1e9,v1={mac('1e9')}"], id="an exponent"),
    pytest.param([f"t=0x10,v1={mac('0x10')}"], id="hexadecimal"),
    pytest.param([f"t=\u00b2,v1={mac(chr(0xB2))}"], id="a digit that is not ascii"),
    pytest.param([f"t={NOW},t={NOW},v1={mac(str(NOW))}"], id="two timestamps"),
    pytest.param([GOOD[:-1]], id="truncated"),
    pytest.param([GOOD + "00"], id="too long"),
    pytest.param([GOOD[:-1] + "\xe9"], id="not ascii"),
    pytest.param([GOOD[:-2] + "zz"], id="not hexadecimal"),
    pytest.param([GOOD.replace("v1=", "v0=")], id="the scheme of tests"),
    pytest.param([f"t={NOW}," + ",".join(["v1=00"] * 3000)], id="thousands of signatures"),
    pytest.param(["," * 10_000], id="nothing but separators"),
    pytest.param(["=" * 10_000], id="nothing but equal signs"),
]


@pytest.mark.parametrize("values", SIGNATURES)
async def test_a_broken_signature_is_unverified_whatever_it_looks_like(gateway, values: Sequence[str]):
    before = gateway.stored_ids()
    headers = [("stripe-signature", value) for value in values]

    answer = await ask(gateway, raw_request(BODY_OF_STRIPE, path="/webhooks/stripe", signed=False, headers=headers))

    assert (answer.status, answer.word) == (401, "unverified")
    assert gateway.stored_ids() == before


async def test_the_signature_that_those_are_made_of_is_a_good_one(gateway):
    headers = [("stripe-signature", GOOD)]

    answer = await ask(gateway, raw_request(BODY_OF_STRIPE, path="/webhooks/stripe", signed=False, headers=headers))

    assert (answer.status, answer.word) == (200, "accepted")
    assert gateway.stored_ids().count("evt_bad") == 1


# Signed ids that are none, and how the event is flagged.
IDS = [
    pytest.param({}, "id_missing", id="missing"),
    pytest.param({"id": None}, "id_missing", id="null"),
    pytest.param({"id": ""}, "id_missing", id="empty"),
    pytest.param({"id": {"a": 1}}, "id_missing", id="an object"),
    pytest.param({"id": "x" * 10_000}, "id_invalid", id="huge"),
    pytest.param({"id": "evt\x00\x1b[2J\r\n"}, "id_invalid", id="control characters"),
]


@pytest.mark.parametrize("fields,flag", IDS)
async def test_an_impossible_id_is_replaced_by_the_bodys_digest(gateway, fields, flag):
    body = json.dumps({**fields, "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}).encode()

    answer = await ask(gateway, signed_by_stripe(body))

    assert (answer.status, answer.word) == (200, "accepted")
    (event,) = [event for event in listed(gateway) if event["body_sha256"] == hashlib.sha256(body).hexdigest()]
    assert event["body_sha256"] in event["id"]
    assert event["flags"] == [flag]


def signed_by_stripe(body: bytes) -> bytes:
    return raw_request(body, path="/webhooks/stripe", signed=False, headers=list(stripe_headers(body).items()))


def listed(gateway: RunningGateway) -> list[dict[str, Any]]:
    said = gateway.command("events", "list", "--limit", "1000", "--output", "jsonl", "--config", "gateway.yaml")
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.mark.parametrize("body", [*ODD_BODIES, pytest.param(b"<?xml version='1.0'?><a>&b;</a>", id="xml")])
async def test_a_verified_body_that_does_not_parse_is_kept_whole_and_handed_on(gateway, body):
    name = hashlib.sha256(body).hexdigest()[:12]
    headers = github_headers(body, name, secret=GITHUB_SECRET)

    answer = await ask(gateway, raw_request(body, path="/webhooks/github", signed=False, headers=list(headers.items())))

    assert (answer.status, answer.word) == (200, "accepted")
    until(lambda: name in gateway.effects(), what="its handler")
    shown = gateway.command("events", "show", "github", name, "--output", "json", "--config", "gateway.yaml")
    assert json.loads(shown.stdout)["body_sha256"] == hashlib.sha256(body).hexdigest()


# Requests that are never finished.
UNFINISHED = [
    pytest.param(raw_request()[:-5], id="half a body"),
    pytest.param(b"POST /webhooks/acme HTT", id="half a request line"),
    pytest.param(b"POST /webhooks/acme HTTP/1.1\r\nhost: x\r\n", id="half a head"),
    pytest.param(raw_request(b"5\r\nab", length=False, headers=[("transfer-encoding", "chunked")]), id="half a chunk"),
]


@pytest.mark.parametrize("data", UNFINISHED)
async def test_half_a_request_is_answered_at_the_deadline_and_never_stored(gateway, data):
    before = gateway.stored_ids()

    answer = await ask(gateway, data)

    assert (answer.status, answer.word, answer.headers["connection"]) == (503, "unavailable", "close")
    assert gateway.stored_ids() == before


async def test_after_all_of_that_a_good_delivery_is_accepted_by_the_same_processes(gateway):
    edge = gateway.pid("edge")
    for data, _ in (param.values for param in REFUSED):
        await ask(gateway, data)  # type: ignore[arg-type] # pytest types a param's values as objects

    body = b'{"id":"evt_last","kind":"order.paid"}'
    answer = await ask(gateway, raw_request(body))

    assert answer.word == "accepted"
    assert gateway.pid("edge") == edge
    assert "evt_last" in gateway.stored_ids()
    assert signature(BODY) not in gateway.output.read_text()
