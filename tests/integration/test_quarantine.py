"""A secret that was wrong, against a whole gateway: refused, kept, mended, readmitted, and handled once."""

import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.senders import post
from tests.quarantine_rig import ids
from tests.running import RunningGateway, running, until
from tests.sender import STRIPE_SECRET, github_headers, stripe_body, stripe_headers

WRONG = "whsec_of_another_endpoint"

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{path: var, min_free: 1MiB}}
sources:
  stripe:
    provider: stripe
    secrets: [{{label: new, file: stripe.txt}}, {{label: old, file: old.txt}}]
    quarantine: {{max_bytes: 1MiB, max_age: 1h}}
  github: {{provider: github, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder: Path = tmp_path_factory.mktemp("quarantine")
    (folder / "stripe.txt").write_text(WRONG)
    (folder / "old.txt").write_text("whsec_an_old_one")
    with running(folder, config=CONFIG) as started:
        yield started


def command(gateway: RunningGateway, *words: str) -> list[Mapping[str, Any]]:
    ran = gateway.command(*words, "--config", "gateway.yaml", "--output", "jsonl")
    assert ran.returncode == 0, ran.stderr
    assert STRIPE_SECRET not in ran.stdout + ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def deliver(gateway: RunningGateway, event_id: str) -> int:
    body = stripe_body(event_id)
    return post(gateway.port, "/webhooks/stripe", body, stripe_headers(body)).status


def answered(gateway: RunningGateway, event_id: str) -> int:
    try:
        return deliver(gateway, event_id)
    except OSError:
        return 0


def kept(gateway: RunningGateway) -> list[str]:
    return ids(gateway.log_path, "stripe")


def refused_and_kept(gateway: RunningGateway) -> None:
    """Two deliveries are kept as they came; another source keeps nothing."""
    assert (deliver(gateway, "evt_1"), deliver(gateway, "evt_2")) == (401, 401)
    body = b"{}"
    refused = post(gateway.port, "/webhooks/github", body, github_headers(body, "delivery-1", secret="wrong"))
    assert refused.status == 401
    until(lambda: len(kept(gateway)) == 2, what="two deliveries in quarantine")
    (path, _) = (gateway.log_path / "quarantine" / "stripe").glob("[0-9]*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    until(lambda: any(row["cause"] for row in command(gateway, "quarantine", "list")), what="a cause")
    assert ids(gateway.log_path, "github") == []


def killed_and_still_there(gateway: RunningGateway) -> None:
    """Nothing of it is stored or handled, and under the wrong secret it stays."""
    gateway.kill("edge")
    assert until(lambda: answered(gateway, "evt_1"), what="the edge's return") == 401
    until(lambda: len(kept(gateway)) == 3, what="three deliveries in quarantine")
    assert {row["outcome"] for row in command(gateway, "quarantine", "readmit", "stripe")} == {"refused"}
    assert (gateway.stored_ids(), len(kept(gateway))) == ([], 3)


def mended_and_readmitted(gateway: RunningGateway) -> Path:
    """A dry run tells, readmission stores; a copy that came again is a duplicate, and nothing is left."""
    assert gateway.stop() == 0
    (gateway.folder / "stripe.txt").write_text(STRIPE_SECRET)
    gateway.start()
    dry = command(gateway, "quarantine", "readmit", "stripe", "--dry-run")
    assert ([row["outcome"] for row in dry], gateway.stored_ids()) == (["accepted"] * 3, [])
    copies = shutil.copytree(gateway.log_path / "quarantine", gateway.folder / "copies")
    readmitted = command(gateway, "quarantine", "readmit", "stripe")
    assert [row["outcome"] for row in readmitted] == ["accepted", "accepted", "duplicate"]
    assert (kept(gateway), gateway.stored_ids()) == ([], ["evt_1", "evt_2"])
    until(lambda: len(gateway.effects()) == 2, what="both events handled")
    return copies


def killed_before_it_could_remove_them(gateway: RunningGateway, copies: Path) -> None:
    """What is durable already is a duplicate."""
    gateway.kill("edge")
    shutil.copytree(copies, gateway.log_path / "quarantine", dirs_exist_ok=True)
    until(lambda: gateway.pid("edge"), what="the edge's return")
    again = command(gateway, "quarantine", "readmit", "stripe")
    assert ({row["outcome"] for row in again}, kept(gateway)) == ({"duplicate"}, [])


def test_what_a_wrong_secret_refused_is_handled_once_after_it_was_mended(gateway):
    refused_and_kept(gateway)
    killed_and_still_there(gateway)
    killed_before_it_could_remove_them(gateway, mended_and_readmitted(gateway))

    assert deliver(gateway, "evt_3") == 200
    until(lambda: len(gateway.effects()) == 3, what="the third event handled")
    assert sorted(gateway.effects()) == ["evt_1", "evt_2", "evt_3"]
    assert STRIPE_SECRET not in gateway.output.read_text()


def test_the_uses_of_secrets_are_on_record_after_a_stop(gateway):
    until(gateway.ready, what="readiness")
    gateway.stop()

    rows = {row["secret"]: row for row in command(gateway, "secrets", "stripe")}

    assert rows["new"]["uses"] >= 4
    assert rows["new"]["verdict"].startswith("used ")
    assert (rows["old"]["uses"], rows["old"]["from"]) == (0, "file")
    assert "too short to tell" in rows["old"]["verdict"]
