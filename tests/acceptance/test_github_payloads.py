"""Every example payload that GitHub publishes, as JSON and as a form, sent to a gateway with the shipped handlers."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apsw
import pytest

from gateway.cli.main import main
from tests.conftest import missing
from tests.running import RunningGateway, running, until
from tests.sender import Connection, github_headers

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / ".cache/examples/api.github.com/index.json"

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
sources:
  github: {{provider: github, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
  audit: {{use: "handlers.audit:router"}}
  github-push: {{use: "handlers.github_push:router"}}
"""


@dataclass(frozen=True)
class Example:
    """One delivery: `event` is GitHub's header, `payload` what the body says."""

    id: str
    event: str
    payload: Mapping[str, Any]
    body: bytes
    content_type: str

    @property
    def type(self) -> str:
        action = self.payload.get("action")
        return f"{self.event}.{action}" if action else self.event

    @property
    def key(self) -> str:
        """Whatever orders the event: its repository, else its organisation or installation, else nothing but itself."""
        owners = (self.payload.get(name) or {} for name in ("repository", "organization", "installation"))
        return next((str(owner["id"]) for owner in owners if "id" in owner), self.id)


@dataclass(frozen=True)
class Sent:
    """A gateway that was sent every example."""

    gateway: RunningGateway
    examples: Sequence[Example]
    answers: Sequence[tuple[int, bytes]]
    stored: Mapping[str, dict[str, Any]]


def examples() -> list[Example]:
    if not EXAMPLES.exists():
        missing("GitHub's example payloads", "run `make .cache/examples`, which needs npm")
    found = []
    for group in json.loads(EXAMPLES.read_text()):
        for number, payload in enumerate(group["examples"]):
            name, text = f"{group['name']}-{number}", json.dumps(payload, ensure_ascii=False, indent=number % 3 or None)
            form = urlencode({"payload": text}).encode()
            found.append(Example(name, group["name"], payload, text.encode(), "application/json"))
            found.append(Example(f"{name}-form", group["name"], payload, form, "application/x-www-form-urlencoded"))
    return found


@pytest.fixture(scope="module")
def sent(tmp_path_factory) -> Iterator[Sent]:
    chosen = examples()
    folder = tmp_path_factory.mktemp("github")
    shutil.copytree(ROOT / "handlers", folder / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    with running(folder, config=CONFIG) as gateway:
        answers = asyncio.run(send_all(gateway.port, chosen))
        listed = gateway.command("events", "list", "--limit", "10000", "--output", "jsonl", "--config", "gateway.yaml")
        stored = [json.loads(line) for line in listed.stdout.splitlines()]
        yield Sent(gateway, chosen, answers, {event["id"]: event for event in stored})


async def send_all(port: int, chosen: Sequence[Example]) -> list[tuple[int, bytes]]:
    connection = Connection(port)
    answers = []
    for example in chosen:
        headers = github_headers(example.body, example.id, event=example.event)
        answer = await connection.post(
            "/webhooks/github", example.body, headers | {"content-type": example.content_type}
        )
        answers.append((answer.status, answer.body))
    connection.close()
    return answers


def test_there_are_examples_of_many_events(sent: Sent):
    assert len({example.event for example in sent.examples}) > 50


def test_each_is_accepted(sent: Sent):
    assert Counter(sent.answers) == {(200, b'{"status":"accepted"}'): len(sent.examples)}


@pytest.mark.parametrize("field", ["type", "key", "body_bytes"])
def test_each_has_its_type_its_ordering_key_and_its_length(sent: Sent, field):
    expected: dict[str, Callable[[Example], Any]] = {
        "type": lambda example: example.type,
        "key": lambda example: example.key,
        "body_bytes": lambda example: len(example.body),
    }

    wrong = [each.id for each in sent.examples if sent.stored[each.id][field] != expected[field](each)]

    assert wrong == []


def test_the_bytes_of_each_are_shown_as_they_were_sent(sent: Sent, monkeypatch, capsysbinary):
    monkeypatch.chdir(sent.gateway.folder)

    changed = []
    for example in sent.examples:
        status = main(["events", "show", "github", example.id, "--raw", "--config", "gateway.yaml"])
        if (status, capsysbinary.readouterr().out) != (0, example.body):
            changed.append(example.id)

    assert changed == []


def test_the_command_itself_writes_nothing_but_those_bytes(sent: Sent):
    example = next(each for each in sent.examples if each.event == "push" and "form" in each.id)

    said = sent.gateway.command("events", "show", "github", example.id, "--raw", "--config", "gateway.yaml")

    assert said.stdout.encode() == example.body
    assert said.stderr == ""


def test_the_shipped_handlers_handle_each_of_them(sent: Sent):
    def idle() -> bool:
        said = sent.gateway.command("routers", "list", "--output", "jsonl", "--config", "gateway.yaml")
        states = [json.loads(line) for line in said.stdout.splitlines()]
        assert [state["dead"] + state["retries"] for state in states] == [0, 0, 0]
        return all(state["backlog"] == 0 for state in states)

    until(idle, what="an empty backlog")

    pushes = [example.payload["after"] for example in sent.examples if example.event == "push"]
    assert len(rows(sent, "audit", "select id from audit")) == len(sent.examples)
    assert [head for (head,) in rows(sent, "github-push", "select head from push order by received_at")] == pushes


def rows(sent: Sent, router: str, sql: str) -> list[tuple[Any, ...]]:
    path = sent.gateway.log_path / "state" / f"{router}.db"
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()
