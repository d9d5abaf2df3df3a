"""README.md, word for word, as a new user follows it in a fresh copy of the tree."""

import re
import signal
from pathlib import Path

import apsw
from ruamel.yaml import YAML

from gateway.cli.main import COMMANDS
from tests.acceptance.newcomer import ROOT, User
from tests.acceptance.terminal import Foreground, Said, Terminal
from tests.readme import README, blocks
from tests.running import until

NOT_RUN_HERE = {"See what it does"}  # Prometheus and Grafana; tests/unit/deploy holds their files


def start(user: User, terminal: Terminal, command: str) -> Foreground:
    """Type a command that starts the gateway, and wait for all that it says first."""
    running = terminal.start(command)
    said = running.wait_for("next, in another terminal: ")
    assert f"gateway ready on {user.url}" in said
    return running


def stop(running: Foreground, *expected: int) -> None:
    """Press Ctrl-C: a clean end, without a traceback."""
    assert running.ctrl_c() in expected
    assert "Traceback" not in running.text


def test_start_it(user):
    setup, probe = blocks("console", heading="Start it")
    (make_run,) = setup.commands
    activate, send, list_events, show = probe.commands
    running = start(user, user.first, make_run)
    said = running.text

    assert re.search(rf"stripe +{user.url}/webhooks/stripe\n +github +{user.url}/webhooks/github\n", said)
    assert f"http://127.0.0.1:{user.ports[1]}/metrics" in said
    user.second.ok(activate)
    sent = user.second.ok(send)
    assert (sent.value("status"), sent.value("body")) == ("200", '{"status":"accepted"}')
    (event_id,) = user.second.ok(list_events).column("id")
    assert event_id == sent.value("id")
    shown = done(user.second, show.replace("EVENT_ID", event_id), "keep-row", "record-invoice")
    assert shown.value("type") == "invoice.paid"
    stop(running, -signal.SIGINT)


def done(terminal: Terminal, show: str, *handlers: str) -> Said:
    """Ask until each of the handlers has done the event; return what was said last."""

    def asked() -> Said | None:
        said = terminal.ok(show)
        return said if all(re.search(rf"{handler} +done", said.out) for handler in handlers) else None

    said = until(asked, what="the handlers' work")
    assert said is not None
    return said


def test_send_is_a_probe_and_the_next_command_that_is_printed_works(user):
    running = start(user, user.first, "make run")
    printed = running.text.partition("next, in another terminal: ")[2].splitlines()[0]

    assert user.second.ok(printed).value("status") == "200"
    user.second.ok("source .venv/bin/activate")
    twice = user.second.ok("gateway send stripe --duplicate")
    assert re.findall(r'"status":"(\w+)"', twice.out) == ["accepted", "duplicate"]
    assert user.second.ok("gateway send github push --forge").value("status") == "401"
    assert user.second.ok("gateway send stripe --stale").value("status") == "401"

    def reasons() -> bool:
        said = user.second.ok("gateway rejections")
        return bool(said.out) and set(said.column("reason")) == {"signature_mismatch", "timestamp_stale"}

    until(reasons, what="the reasons of both refusals")
    stop(running, -signal.SIGINT)


def test_point_stripe_and_github_at_it(user):
    (block,) = blocks("console", heading="Point Stripe and GitHub at it")
    export_stripe, export_github, make_run = block.commands
    user.first.ok(export_stripe.replace("...", "of_the_user"))
    user.first.ok(export_github.replace("...", "of_the_user"))
    running = start(user, user.first, make_run)
    outsider = user.second("source .venv/bin/activate; gateway send stripe")
    user.second.environ |= {
        name: user.first.environ[name] for name in ("STRIPE_WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET")
    }

    assert "development secrets" not in running.text
    assert (outsider.status, outsider.value("status")) == (1, "401")
    assert user.second.ok("gateway send stripe").value("status") == "200"
    assert user.second.ok("gateway send github").value("status") == "200"
    assert "Workbench" in user.second.ok("gateway providers stripe").out
    stop(running, -signal.SIGINT)


def wrote_handler(user: User) -> Path:
    """Follow `Write a handler` up to the start; return the folder."""
    init, check_and_run = blocks("console", heading="Write a handler")
    handler, _ = blocks("python", heading="Write a handler")
    (config_lines,) = blocks("yaml", heading="Write a handler")
    user.second.ok("source .venv/bin/activate")
    user.second.ok(init.commands[0])
    folder = user.second.cwd
    (folder / "handlers/billing.py").write_text(handler.text)
    config = folder / "config/gateway.yaml"
    config.write_text(config.read_text().rstrip() + "\n" + config_lines.text.removeprefix("routers:\n"))
    user.on_free_ports(config)
    checked = user.second.ok(check_and_run.commands[0])
    assert "router billing" in checked.out
    return folder


def test_write_a_handler(user):
    folder = wrote_handler(user)
    assert folder == user.clone.parent / "my-gateway"
    user.first.environ, user.first.cwd = dict(user.second.environ), folder
    run = blocks("console", heading="Write a handler")[1].commands[1]
    running = start(user, user.first, run)

    event_id = user.second.ok("gateway send stripe invoice.paid --duplicate").value("id")
    done(user.second, f"gateway events show stripe {event_id}", "record-invoice", "remember")
    again = user.second.ok("gateway replay --router billing")
    stop(running, 0)
    assert again.value("state") == "done"
    connection = apsw.Connection(str(folder / "var/state/billing.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = list(connection.execute("select id, amount from invoice"))
    connection.close()
    assert rows == [("in_test", 4900)]


def test_the_testing_snippet_passes(user):
    folder = wrote_handler(user)
    _, snippet = blocks("python", heading="Write a handler")
    (folder / "test_billing.py").write_text(snippet.text)

    said = user.second.ok("python -m pytest -q -p no:cacheprovider test_billing.py")

    assert "1 passed" in said.out


def test_configure_it(user):
    folder = wrote_handler(user)
    (block,) = blocks("yaml", heading="Configure it")
    config = folder / "config/gateway.yaml"
    config.write_text(config.read_text().replace("sources:\n", block.text))
    user.second.environ |= {"ACME_WEBHOOK_SECRET": "new", "ACME_WEBHOOK_SECRET_OLD": "old"}
    running = start(user, user.second, "gateway run")

    sent = user.second.ok("gateway send acme invoice.paid")

    assert sent.value("status") == "200"
    shown = user.second.ok(f"gateway events show acme {sent.value('id')}")
    assert shown.value("verified_by") == "new"
    assert user.second.ok("gateway send acme --forge").value("status") == "401"
    assert "env ACME_WEBHOOK_SECRET" in user.second.ok("gateway config show").out
    stop(running, 0)


def test_every_console_block_is_followed_here():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_readme*.py"))

    followed = set(re.findall(r'blocks\("\w+", heading="([^"]+)"\)', text))

    assert {block.heading for block in blocks("console")} - NOT_RUN_HERE <= followed
    assert {block.heading for block in [*blocks("python"), *blocks("yaml")]} <= followed


def test_the_paths_of_the_monitoring_section_exist_and_are_those_grafana_is_told():
    (block,) = blocks("console", heading="See what it does")
    prometheus, grafana = block.commands
    mounts = dict(re.findall(r'"\$PWD/(\S+?):(\S+?)"', grafana))
    providers = YAML(typ="safe").load((ROOT / "deploy/grafana/provisioning/dashboards/gateway.yaml").read_text())

    assert (ROOT / prometheus.partition("--config.file=")[2]).is_file()
    assert all((ROOT / path).is_dir() for path in mounts)
    assert mounts["deploy/grafana/dashboards"] == providers["providers"][0]["options"]["path"]


def test_the_table_of_commands_names_every_command():
    table = README.read_text().partition("\n## Commands\n")[2].partition("\n## ")[0]

    assert [name for name in COMMANDS if not re.search(rf"`(gateway )?{name}\b", table)] == []


def test_every_file_that_readme_names_exists():
    text = README.read_text()
    linked = [target for target in re.findall(r"\]\(([^)#:]+)\)", text) if not (ROOT / target).exists()]
    rows = re.findall(r"^\| P\d .*\| ([^|]+) \|$", text, re.MULTILINE)

    absent = [name for row in rows for name in proofs(row) if not list(ROOT.glob(name))]

    assert len(rows) == 8
    assert linked == []
    assert absent == []


def proofs(row: str) -> list[str]:
    """Return the paths of the last column; a bare file name lies beside the one before it."""
    names = re.findall(r"`([^`]+)`", row)
    folder = names[0].rpartition("/")[0]
    return [name if "/" in name else f"{folder}/{name}" for name in names]
