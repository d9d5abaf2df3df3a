"""`init` and `check`: from nothing to a configuration that starts."""

import socket
import sys

import pytest

from tests.commands import Commands, folder_with_config


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Commands:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("handlers", "billing_handlers")]:
        monkeypatch.delitem(sys.modules, name)
    return Commands(tmp_path, capsys)


@pytest.fixture
def configured(run: Commands, tmp_path, monkeypatch) -> Commands:
    folder = folder_with_config(tmp_path / "gateway")
    config = folder / "config/gateway.yaml"
    config.write_text(config.read_text().replace("port: 1, admin_port: 2", "port: 0, admin_port: 0"))
    monkeypatch.chdir(folder)
    run.folder = folder
    return run


def states(run: Commands, status: int) -> dict[str, str]:
    ran = run("check", "--output", "jsonl")
    assert ran.status == status, ran.out
    return {row["check"]: row["state"] for row in ran.rows}


def test_what_init_writes_passes_every_check(run, tmp_path, monkeypatch):
    assert run("init", "new").status == 0
    monkeypatch.chdir(tmp_path / "new")
    config = tmp_path / "new/config/gateway.yaml"
    config.write_text(config.read_text().replace("port: 8080", "port: 0").replace("port: 8081", "port: 0"))

    found = states(run, 0)

    assert found["router my-handler"] == "ok"
    assert set(found.values()) == {"ok", "warning"}


def test_init_tells_the_next_commands(run):
    ran = run("init", "new")

    assert "cd new\n  gateway check\n  gateway run\n" in ran.out


def test_init_overwrites_nothing_unless_forced(run, tmp_path):
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers/my_handler.py").write_text("mine")

    refused = run("init")
    assert refused.status == 1
    assert "handlers/my_handler.py is there already; --force overwrites it" in refused.err
    assert not (tmp_path / "config").exists()
    assert (tmp_path / "handlers/my_handler.py").read_text() == "mine"

    assert run("init", "--force").status == 0
    assert (tmp_path / "handlers/my_handler.py").read_text() != "mine"


def test_a_sound_configuration_passes(configured):
    assert states(configured, 0) == {
        "configuration": "ok",
        "versions": "ok",
        "source acme": "warning",
        "router billing": "ok",
        "log folder": "ok",
        "server.port": "ok",
        "server.admin_port": "ok",
    }


def change(run: Commands, old: str, new: str) -> None:
    config = run.folder / "config/gateway.yaml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def test_a_mistake_in_the_configuration_ends_with_2(configured):
    change(configured, "min_free:", "min_fre:")

    assert states(configured, 2) == {"configuration log.min_fre": "failed"}


def test_a_source_that_waits_for_its_secret_warns_until_it_has_one(configured):
    change(configured, "sources:\n", "sources:\n  tasks: {provider: asana}\n")
    before = states(configured, 0)["source tasks"]
    handed_over = configured.folder / "var/paired/tasks"
    handed_over.parent.mkdir(parents=True)
    handed_over.write_text("canary-of-asana")

    assert (before, states(configured, 0)["source tasks"]) == ("warning", "ok")


def test_a_router_that_cannot_be_imported_fails(configured):
    (configured.folder / "billing_handlers.py").write_text("import not_there_at_all")

    assert states(configured, 1)["router billing"] == "failed"


def test_a_handler_that_can_never_run_fails(configured):
    handlers = configured.folder / "billing_handlers.py"
    handlers.write_text(handlers.read_text().replace('"*", ', '"*", provider="strip", '))

    assert states(configured, 1)["router billing"] == "failed"


def test_a_folder_that_cannot_be_made_fails(configured):
    change(configured, "min_free:", "path: /proc/none, min_free:")

    assert states(configured, 1)["log folder"] == "failed"


def test_too_little_space_fails(configured):
    change(configured, "min_free: 1MiB", "min_free: 900000TiB")

    assert states(configured, 1)["log folder"] == "failed"


def test_a_port_that_another_process_holds_fails(configured):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        change(configured, "port: 0, admin", f"port: {taken.getsockname()[1]}, admin")

        found = states(configured, 1)

    assert (found["server.port"], found["server.admin_port"]) == ("failed", "ok")


def test_a_certificate_that_cannot_be_read_fails(configured):
    change(configured, "server: {", "server: {tls: {cert: none.pem, key: none.pem}, ")

    assert states(configured, 1)["certificate"] == "failed"


@pytest.mark.parametrize("words", [("run",), ("work",)], ids=" ".join)
def test_a_wrong_router_keeps_the_gateway_from_starting(configured, words):
    (configured.folder / "billing_handlers.py").write_text("import not_there_at_all")

    ran = configured(*words)

    assert ran.status == 2
    assert "needs the module not_there_at_all" in ran.err


def test_work_refuses_a_router_that_is_not_configured(configured):
    ran = configured("work", "--router", "biling")

    assert ran.status == 2
    assert "configured: billing" in ran.err


@pytest.mark.parametrize(
    "words, said",
    [
        pytest.param(("serve", "--workers", "2"), "the embedded one takes one", id="several edges"),
        pytest.param(("work", "--indexer"), "the embedded log is its own index", id="an indexer"),
        pytest.param(("serve", "--workers", "0"), "0 is not in the range", id="no edge"),
    ],
)
def test_what_needs_kafka_is_refused_on_the_embedded_log(configured, words, said):
    ran = configured(*words)

    assert ran.status == 2
    assert said in " ".join(ran.err.split())
