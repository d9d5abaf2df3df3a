import os
import subprocess
import sys

import click
import pytest

from gateway.cli.main import COMMANDS, cli, main, status_of
from gateway.cli.reference import page
from gateway.core import errors
from tests.configuration import VALID
from tests.layout import ROOT


def commands(group: click.Group, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        found.append((*words, name))
        if isinstance(command, click.Group):
            found += commands(command, (*words, name))
    return found


@pytest.mark.parametrize("words", [(), *commands(cli)], ids=" ".join)
def test_every_command_has_help(words, capsys):
    assert main([*words, "--help"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {' '.join(('gateway', *words))}")
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_tells_what_each_one_says_of_itself(name):
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert (command.help or "").partition("\n")[0] == COMMANDS[name][1]


@pytest.mark.parametrize("words", [words for words in commands(cli) if words[0] not in ("init", "completion")])
def test_every_command_that_reads_the_configuration_takes_its_path_and_the_form_of_output(words):
    command: click.Command | None = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None

    if not isinstance(command, click.Group) and words != ("config", "schema"):
        assert {"--config", "--output"} <= {word for option in command.params for word in option.opts}


@pytest.mark.parametrize(
    "words, words_told",
    [
        (["nosuch"], "No such command"),
        (["events", "list", "--nosuch"], "No such option"),
        (["events", "list", "--limit", "0"], "not in the range"),
        (["events", "list", "--since", "yesterday"], "write a time such as"),
        (["events", "list", "--config", "none.yaml"], "none.yaml: no such file"),
        (["providers", "strpe"], 'did you mean "stripe"?'),
        (["completion", "tcsh"], "is not one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_with_2_and_says_what_is_wrong(words, words_told, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    status = main(words)

    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert words_told in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "error, status",
    [
        (errors.GatewayError(), 1),
        (errors.EnvelopeError(), 1),
        (errors.ConfigError(), 2),
        (errors.PluginError(), 2),
        (errors.DependencyError(), 3),
        (errors.Unavailable("log_down"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_status(error, status):
    assert status_of(error) == status


def test_every_mistake_of_the_configuration_is_one_line(capsys, monkeypatch, tmp_path):
    (tmp_path / "gateway.yaml").write_text(VALID.replace("port:", "prot:").replace("use:", "uses:"))

    status = main(["routers", "list", "--config", str(tmp_path / "gateway.yaml")])

    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert [line.split(": ")[2] for line in lines] == ["server.prot", "routers.billing.uses"]


def test_the_path_of_the_configuration_may_stand_in_the_environment(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GATEWAY_CONFIG", str(tmp_path / "elsewhere.yaml"))

    assert main(["config", "show"]) == 2

    assert "elsewhere.yaml: no such file" in capsys.readouterr().err


def test_a_reader_that_has_left_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "gateway", "config", "schema"]

    ran = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (0, b"")


def test_help_imports_neither_engines_nor_drawing():
    script = "import sys; from gateway.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    loaded = set(ran.stderr.split())
    assert "click" in loaded
    assert not loaded & {"rich", "apsw", "pydantic", "ruamel.yaml", "starlette", "uvicorn", "cryptography"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell, capsys):
    assert main(["completion", shell]) == 0

    assert "_GATEWAY_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, completed",
    [
        ("gateway eve", {"events"}),
        ("gateway events ", {"list", "show", "tail"}),
        ("gateway send --config CONFIG g", {"github"}),
        ("gateway routers pause --config CONFIG ", {"billing"}),
        ("gateway routers pause --config none.yaml ", set()),
    ],
)
def test_the_shell_completes_commands_and_configured_names(tmp_path, line, completed):
    (tmp_path / "gateway.yaml").write_text(VALID)
    words = line.replace("CONFIG", str(tmp_path / "gateway.yaml"))
    environ = {
        **os.environ,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "_GATEWAY_COMPLETE": "bash_complete",
    }

    ran = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert {line.removeprefix("plain,") for line in ran.stdout.splitlines() if line} == completed


def test_the_committed_page_of_commands_is_current():
    assert (ROOT / "docs/commands.md").read_text() == page(), "run `make docs`"
