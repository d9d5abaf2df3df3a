"""One story told to a gateway on the embedded log and to one on Kafka and Postgres: every command answers alike."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.commands import Ran
from tests.running import CONFIG, RunningGateway, until
from tests.sender import GITHUB_SECRET, STRIPE_SECRET

CLUSTER = """
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}}}}}
log:
  engine: kafka
  path: var
  bootstrap: ["{bootstrap}"]
  prefix: {prefix}
  topics: {{{{partitions: 3, replication: 1, min_insync: 1}}}}
store: {{{{engine: postgres, dsn: "{dsn}"}}}}
sources:
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}]}}}}
  github: {{{{provider: github, secrets: [{{{{env: TEST_GITHUB_SECRET}}}}]}}}}
routers:
  ledger: {{{{use: "ledger_handlers:router"}}}}
"""
# Gives up while the file `broken` is there; what is of a customer waits for an hour.
HANDLERS = """
from pathlib import Path

from gateway import Context, Event, GiveUp, Retry, Router

router = Router("ledger", schema="create table if not exists effect (id text, attempt integer)")


@router.on("invoice.*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    if Path("broken").exists():
        raise GiveUp("the ledger is closed")
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", {"id": event.id, "attempt": 1})


@router.on("customer.*", name="ask-later")
async def ask_later(event: Event, ctx: Context) -> None:
    raise Retry(after=3600)
"""
PAUSED = 'gateway_router_paused{cause="operator",router="ledger"} 1.0'
# What no two runs have in common. Whether it is there is compared, not what it is.
VARYING = frozenset(
    {"at", "next", "time", "received_at", "died_at", "last_event", "oldest", "delivery_id", "headers", "url", "trace"}
    | {"body", "body_sha256", "body_bytes", "partition", "offset", "number"}
)


@dataclass
class Story:
    """What was said to the gateway, and what it answered. Commands run in this process: there are many."""

    gateway: RunningGateway
    desk: Path  # where the operator types: the configuration is all that must be there
    answers: dict[str, Any] = field(default_factory=dict)

    def ask(self, *words: str) -> list[dict[str, Any]]:
        ran = self._run(*words)
        assert ran.status == 0, ran.err
        return ran.rows

    def note(self, title: str, *words: str) -> None:
        """Remember what a command answers."""
        ran = self._run(*words)
        rows = [_constant(row) for row in ran.rows if "progress" not in row]
        said = re.sub("`gateway (run|work)`", "`gateway run`", ran.err)
        self.answers[title] = {"status": ran.status, "rows": rows, "said": said}

    def _run(self, *words: str) -> Ran:
        out, err = StringIO(), StringIO()
        with chdir(self.desk), redirect_stdout(out), redirect_stderr(err):
            status = main([*words, "--config", "gateway.yaml", "--output", "jsonl"])
        return Ran(status, out.getvalue(), err.getvalue())

    def send(self, event_id: str, event_type: str = "invoice.paid") -> None:
        (sent,) = self.ask("send", "stripe", event_type, "--id", event_id)
        assert sent["status"] == 200
        until(lambda: event_id in [row["id"] for row in self.ask("events", "list")], what=f"{event_id} is listed")

    def becomes(self, event_id: str, state: str) -> None:
        until(lambda: self._states(event_id) == [state], what=f"{event_id} is {state}")

    def number(self) -> str:
        """Return the number of the first dead letter."""
        return str(self.ask("dead", "list")[0]["number"])

    def _states(self, event_id: str) -> list[str]:
        return [row["state"] for row in self.ask("events", "show", "stripe", event_id)[0]["handlers"]]


def _constant(value: Any, name: str = "") -> Any:
    """Return an answer without what varies."""
    if name in VARYING:
        return None if value is None else f"<{name}>"
    if isinstance(value, dict):
        return {key: _constant(child, key) for key, child in value.items()}
    if isinstance(value, list):
        return [_constant(child) for child in value]
    if isinstance(value, str) and re.fullmatch(r"r[0-9a-f]{12}", value):
        return "<replay>"
    return value


def what_came(story: Story) -> None:
    broken = story.gateway.folder / "broken"
    story.send("evt_done")
    story.becomes("evt_done", "done")
    broken.touch()
    story.send("evt_dead")
    story.becomes("evt_dead", "dead")
    broken.unlink()
    story.send("evt_later", "customer.created")
    story.becomes("evt_later", "retrying")
    story.note("pause", "routers", "pause", "ledger")
    until(lambda: PAUSED in story.gateway.admin("/metrics")[1], what="the worker knows of the pause")
    story.send("evt_waiting")
    until(lambda: story.ask("routers", "list")[0]["backlog"] == 1, what="the paused router is one behind")


def what_is_told(story: Story) -> None:
    story.note("list", "events", "list")
    story.note("list of a type", "events", "list", "--type", "customer.created")
    story.note("list of a source without events", "events", "list", "--source", "github")
    story.note("list of two", "events", "list", "--limit", "2")
    for event_id in ("evt_done", "evt_dead", "evt_later", "evt_waiting"):
        story.note(f"show {event_id}", "events", "show", "stripe", event_id)
    story.note("dead list", "dead", "list")
    story.note("dead list of a router", "dead", "list", "--router", "ledger")
    story.note("dead show", "dead", "show", "ledger", story.number())
    story.note("routers", "routers", "list")
    story.note("sources", "sources", "list")
    story.note("schema", "contracts", "infer", "stripe", "--type", "invoice.*")
    story.note("schema of nothing", "contracts", "infer", "github")
    (story.desk / "schema.json").write_text('{"properties": {"data": {"required": ["objekt"]}}}')
    story.note("contract", "contracts", "check", "stripe", "--schema", "schema.json", "--limit", "3")
    story.note("no contract", "contracts", "check", "stripe")
    story.note("count", "replay", "--router", "ledger", "--dry-run", "--type", "invoice.paid")


def what_is_refused(story: Story) -> None:
    story.note("no such event", "events", "show", "stripe", "evt_nowhere")
    story.note("no such dead letter", "dead", "show", "ledger", "999999")
    story.note("no such copy", "events", "show", "stripe", "evt_done", "--copy", "2")
    story.note("no such handler", "replay", "--router", "ledger", "--handler", "recrod")
    story.note("no such router", "routers", "pause", "nobody")
    story.note("forgetting a stranger", "routers", "forget", "nobody", "--yes")
    story.note("forgetting what runs", "routers", "forget", "ledger", "--yes")
    story.note("purge without a yes", "dead", "purge", "ledger", "--all")


def what_is_changed(story: Story) -> None:
    story.note("resume", "routers", "resume", "ledger")
    story.becomes("evt_waiting", "done")
    until(lambda: story.ask("routers", "list")[0]["backlog"] == 0, what="nothing is left")
    story.note("retry of another reason", "dead", "retry", "ledger", "--all", "--reason", "crashed")
    story.note("retry", "dead", "retry", "ledger", story.number())
    story.becomes("evt_dead", "done")
    story.note("replay of what is missing", "replay", "--router", "ledger", "--type", "invoice.paid")
    story.note("replay of all", "replay", "--router", "ledger", "--type", "invoice.paid", "--mode", "force", "--yes")
    story.note("show what was replayed", "events", "show", "stripe", "evt_done")


def what_a_stopped_one_tells(story: Story) -> None:
    assert story.gateway.stop() == 0
    story.note("routers, stopped", "routers", "list")
    story.note("pause, stopped", "routers", "pause", "ledger")
    story.note("resume, stopped", "routers", "resume", "ledger")
    story.note("replay, stopped", "replay", "--router", "ledger", "--type", "invoice.paid")
    story.note("purge, stopped", "dead", "purge", "ledger", "--all", "--yes")
    story.note("forget", "routers", "forget", "ledger", "--yes")
    story.note("routers, forgotten", "routers", "list")
    story.note("show, forgotten", "events", "show", "stripe", "evt_done")
    story.note("pause, forgotten", "routers", "pause", "ledger")


CHAPTERS: tuple[Callable[[Story], None], ...] = (
    what_came,
    what_is_told,
    what_is_refused,
    what_is_changed,
    what_a_stopped_one_tells,
)


def told(gateway: RunningGateway, desk: Path) -> dict[str, Any]:
    story = Story(gateway, desk)
    gateway.start()
    try:
        for chapter in CHAPTERS:
            chapter(story)
    finally:
        gateway.end()
    return story.answers


@pytest.fixture(scope="module", autouse=True)
def surroundings() -> Iterator[None]:
    """What the commands find in this process, and leave in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_STRIPE_SECRET", STRIPE_SECRET)
        patch.setenv("TEST_GITHUB_SECRET", GITHUB_SECRET)
        patch.setattr(sys, "path", list(sys.path))
        yield
        sys.modules.pop("ledger_handlers", None)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("embedded")
    return told(RunningGateway(folder, config=CONFIG, handlers={"ledger_handlers": HANDLERS}), folder)


@pytest.fixture
def on_cluster(tmp_path: Path, kafka: Any, kafka_prefix: str, database: str) -> RunningGateway:
    config = CLUSTER.format(bootstrap=kafka.bootstrap, prefix=kafka_prefix, dsn=database)
    (folder := tmp_path / "cluster").mkdir()
    gateway = RunningGateway(folder, config=config, handlers={"ledger_handlers": HANDLERS})
    for words in (("topics", "create"), ("store", "migrate")):
        assert Story(gateway, gateway.folder).ask(*words) is not None
    return gateway


@pytest.mark.timeout(300)
def test_every_command_answers_on_a_cluster_as_on_the_embedded_log(
    embedded: dict[str, Any], on_cluster: RunningGateway, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    for name in ("gateway.yaml", "ledger_handlers.py"):
        (elsewhere / name).write_text((on_cluster.folder / name).read_text())

    answers = told(on_cluster, elsewhere)

    assert list(answers) == list(embedded)
    different = {title: (answers[title], embedded[title]) for title in embedded if answers[title] != embedded[title]}
    assert different == {}
