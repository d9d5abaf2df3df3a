"""README's "Outgrow the machine", word for word: in one command, and by two edges and two workers on one cluster."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from tests.acceptance.newcomer import User
from tests.acceptance.terminal import Foreground, Said, Terminal
from tests.kafka_rig import Kafka
from tests.readme import blocks
from tests.running import free_port, until

pytestmark = pytest.mark.timeout(300)


def test_make_run_kafka(user: User, kafka: Kafka, database: str) -> None:  # the fixtures: what it needs is installed
    (make_run,) = blocks("console", heading="Outgrow the machine")[0].commands
    above = 3 if "PYTEST_XDIST_WORKER" in os.environ else 2
    for folder in (user.scratch, *user.scratch.parents[:above]):
        folder.chmod(0o711)  # of root's, Postgres runs as another user
    running = user.first.start(make_run)
    said = running.wait_for("next, in another terminal: ")
    (told,) = re.findall("for commands in another terminal: (export .*)", said)
    user.second.ok("source .venv/bin/activate")
    user.second.ok(told)

    sent = user.second.ok("gateway send stripe invoice.paid")
    assert (sent.value("status"), sent.value("body")) == ("200", '{"status":"accepted"}')
    shown = done(user.second, sent.value("id"), "keep-row", "record-invoice")
    assert shown.value("type") == "invoice.paid"
    servers = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", told)]
    assert running.ctrl_c() == -signal.SIGINT  # make's own end, after that of what it ran
    assert "Traceback" not in running.text
    assert len(servers) == 2
    assert not any(listening(port) for port in servers)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def done(terminal: Terminal, event_id: str, *handlers: str) -> Said:
    """Ask until the event is listed and each of the handlers has done it; return what was said last."""

    def asked() -> Said | None:
        said = terminal(f"gateway events show stripe {event_id}")
        return said if all(re.search(rf"{handler} +done", said.out) for handler in handlers) else None

    said = until(asked, what="the handlers' work", deadline=60)
    assert said is not None
    return said


class Cluster:
    """The user's terminals, each with what README exports in it."""

    def __init__(self, user: User, exports: list[str], ends: ExitStack) -> None:
        self._user = user
        self._exports = exports
        self._ends = ends

    def terminal(self, name: str, **environ: str) -> Terminal:
        scratch = self._user.scratch / name
        scratch.mkdir()
        terminal = Terminal(self._user.clone, scratch, {**self._user.first.environ, **environ})
        self._ends.callback(terminal.close)
        for command in ("source .venv/bin/activate", *self._exports):
            terminal.ok(command)
        return terminal


@pytest.fixture
def cluster(user: User, kafka: Kafka, database: str) -> Iterator[Cluster]:
    _, block = blocks("console", heading="Outgrow the machine")
    config, bootstrap, dsn, *_ = block.commands
    exports = [
        config,
        bootstrap.replace("127.0.0.1:9092", kafka.bootstrap),
        dsn.replace("postgresql://gateway:development-only@127.0.0.1:5432/gateway", database),
    ]
    assert exports[1:] != [bootstrap, dsn]
    with ExitStack() as ends:
        yield Cluster(user, exports, ends)


def test_two_edges_and_two_workers(cluster: Cluster, user: User, database: str) -> None:
    _, block = blocks("console", heading="Outgrow the machine")
    _, _, _, create, migrate, serve, work = block.commands
    first = cluster.terminal("first")
    created, migrated = first.ok(create), first.ok(migrate)
    assert "webhooks.events.stripe" in created.out + created.err
    assert migrated.status == 0

    worker_admin = str(free_port())
    edges = [cluster.terminal("edge-1"), cluster.terminal("edge-2", **own("e2"))]
    workers = [cluster.terminal("work-1", GATEWAY_ADMIN_PORT=worker_admin), cluster.terminal("work-2", **own("w2"))]
    running = [edges[0].start(serve), edges[1].start("gateway serve")]
    running += [worker.start(work) for worker in workers]
    for one in running:
        one.wait_for("gateway.ready")

    event_id = edges[0].ok("gateway send stripe invoice.paid").value("id")
    until(lambda: answered(edges[1], event_id) == "duplicate", what="the second edge's word that it is a duplicate")
    other = edges[1].ok("gateway send stripe invoice.paid").value("id")
    for each in (event_id, other):
        done(edges[0], each, "keep-row", "record-invoice")
    shows_what_readme_says(edges[0], {event_id, other})
    for terminal in (edges[0], workers[1]):
        assert "0 failed" in terminal.ok("gateway check").err
    with psycopg.connect(database) as connection:
        assert connection.execute("select id from audit order by id").fetchall() == sorted([(event_id,), (other,)])
    ends(running)


def own(name: str) -> dict[str, str]:
    return {
        "GATEWAY_VAR": f"var/{name}",
        "GATEWAY_SPOOL": f"var/{name}/spool",
        "GATEWAY_PORT": str(free_port()),
        "GATEWAY_ADMIN_PORT": str(free_port()),
    }


def answered(terminal: Terminal, event_id: str) -> str:
    """Send an event of that id to the terminal's edge; return the status in the answer's body."""
    said = terminal(f"gateway send stripe invoice.paid --id {event_id}")
    return str(json.loads(said.value("body"))["status"])


def shows_what_readme_says(terminal: Terminal, ids: set[str]) -> None:
    """Look at what was received, and at what became of it, with the commands of README's table."""
    assert ids <= set(terminal.ok("gateway events list").column("id"))
    routers = terminal.ok("gateway routers list")
    assert routers.column("router") == ["audit", "billing", "github-push"]
    assert (set(routers.column("running")), set(routers.column("dead"))) == ({"yes"}, {"0"})
    assert "no dead letters" in terminal.ok("gateway dead list").err
    counted = terminal.ok("gateway replay --router billing --dry-run")
    assert int(counted.value("events")) >= len(ids)
    assert len(terminal.ok("gateway topics list").column("topic")) == 3
    assert terminal.ok("gateway store status").value("state") == "current"


def ends(running: list[Foreground]) -> None:
    for one in running:
        assert one.ctrl_c() == 0, one.text
        assert "Traceback" not in one.text
