"""Writes `docs/commands.md` from the commands themselves."""

from collections.abc import Iterator

import click

from gateway.cli.main import cli

_INTRODUCTION = """\
# Commands

<!-- Generated from gateway/cli by `make docs`. -->

Data goes to stdout, remarks, questions and progress to stderr. `--output json` and `jsonl` give everything a table
shows and more; times are ISO 8601 in UTC. Control characters in what senders wrote are shown as escapes. Colours and
bars appear on a terminal only, and never with `NO_COLOR` set.

| exit status | means |
|---|---|
| 0 | done |
| 1 | a check failed, an answer was not the expected one, or there is no such thing |
| 2 | bad input or configuration |
| 3 | something outside cannot be reached, or another process holds it |
| 130 | interrupted, or a question was answered with no |

Commands that change something ask the running gateway to do it. With none running, they take the lock of the file
and do it themselves. What destroys asks first; `--yes` answers.
"""


def page() -> str:
    """Return the page, Markdown."""
    root = click.Context(cli, info_name="gateway")
    sections = [_section(name, command) for name, command in _leaves(cli, root, "gateway")]
    return "\n".join([_INTRODUCTION, *sections])


def _leaves(group: click.Group, context: click.Context, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _leaves(command, context, f"{prefix} {name}")
        elif command is not None:
            yield f"{prefix} {name}", command


def _section(name: str, command: click.Command) -> str:
    with click.Context(command, info_name=name, parent=None, max_content_width=100, terminal_width=100) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    help_text = "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    options = "".join(f"| `{_cell(words)}` | {_cell(text)} |\n" for words, text in filter(None, records))
    table = f"\n| option | meaning |\n|---|---|\n{options}" if options else ""
    return f"## `{name}`\n\n```\n{usage}\n```\n\n{help_text}\n{table}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
