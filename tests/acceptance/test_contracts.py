"""A field is not what an operator took it for: the event is kept, the place named, the schema mended, the event run."""

import json
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.running import CONFIG, RunningGateway, running, until
from tests.sender import GITHUB_SECRET, STRIPE_SECRET

REQUIRE = 'require: {{"invoice.*": schemas/invoice.json, "customer.*": provider}}'
REQUIRING = CONFIG.replace("TEST_STRIPE_SECRET}}]", "TEST_STRIPE_SECRET}}], " + REQUIRE)
COUNTED = 'gateway_dead_letters_total{handler="write-effect",reason="contract",router="ledger"} 1.0'
TOLD = "/data/object/amount_paid: type string (schemas/invoice.json)"


def rely_on(folder: Path, kind: str) -> None:
    (folder / "schemas").mkdir(exist_ok=True)
    amount = {"properties": {"amount_paid": {"type": kind}}, "required": ["amount_paid"]}
    schema = {"properties": {"data": {"properties": {"object": amount}}}}
    (folder / "schemas/invoice.json").write_text(json.dumps(schema))


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningGateway]:
    """A gateway whose operator is wrong about what an amount is."""
    monkeypatch.setenv("TEST_STRIPE_SECRET", STRIPE_SECRET)
    monkeypatch.setenv("TEST_GITHUB_SECRET", GITHUB_SECRET)
    rely_on(tmp_path, "string")
    with running(tmp_path, config=REQUIRING) as started:
        yield started


def rows(gateway: RunningGateway, *words: str, status: int = 0) -> list[dict[str, Any]]:
    """Run a command in this process, beside the running gateway."""
    out = StringIO()
    with chdir(gateway.folder), redirect_stdout(out):
        assert main([*words, "--config", "gateway.yaml", "--output", "jsonl"]) == status
    return [json.loads(line) for line in out.getvalue().splitlines()]


def send(gateway: RunningGateway, event_id: str, event_type: str) -> None:
    (sent,) = rows(gateway, "send", "stripe", event_type, "--id", event_id)
    assert (sent["status"], sent["body"]) == (200, '{"status":"accepted"}')


def test_an_event_that_breaks_its_contract_is_kept_and_runs_when_the_schema_is_mended(gateway: RunningGateway) -> None:
    send(gateway, "evt_broken", "invoice.paid")
    send(gateway, "evt_fits", "customer.created")
    send(gateway, "evt_unasked", "payment_intent.succeeded")
    until(lambda: len(gateway.effects()) == 2, what="what fits has run")
    until(lambda: rows(gateway, "dead", "list"), what="a dead letter")

    (letter,) = rows(gateway, "dead", "list")
    assert (letter["id"], letter["reason"], letter["attempts"]) == ("evt_broken", "contract", 0)
    assert letter["error"] == TOLD
    assert COUNTED in gateway.admin("/metrics")[1]
    (breach,) = rows(gateway, "contracts", "check", "stripe", status=1)
    assert (breach["id"], breach["pointer"]) == ("evt_broken", "/data/object/amount_paid")
    assert gateway.stop() == 0

    rely_on(gateway.folder, "integer")
    assert rows(gateway, "contracts", "check", "stripe") == []
    gateway.start()
    rows(gateway, "dead", "retry", "ledger", "--all", "--reason", "contract")

    until(lambda: len(gateway.effects()) == 3, what="what was broken has run")
    assert sorted(gateway.effects()) == ["evt_broken", "evt_fits", "evt_unasked"]
    assert rows(gateway, "dead", "list") == []
    assert "4900" not in gateway.output.read_text()


def test_a_gateway_with_a_broken_schema_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/invoice.json").write_text('{"properties": {"id": {"type": "strin"}}}')
    gateway = RunningGateway(tmp_path, config=REQUIRING)

    checked = gateway.command("check", "--config", "gateway.yaml")
    started = gateway.command("run", "--config", "gateway.yaml")

    assert (checked.returncode, started.returncode) == (2, 2)
    assert "/properties/id/type of the file is no JSON Schema" in started.stderr
    assert "gateway.yaml:5:" in started.stderr
