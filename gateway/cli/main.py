"""The command line: finds a command, runs it, and turns what went wrong into one message and an exit status.

Commands are imported when they run, so that `gateway --help` and the shell's completion stay quick.
"""

import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from gateway.cli.text import printable
from gateway.core.errors import ConfigError, DependencyError, GatewayError, PluginError, Unavailable

OK, FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

# name: (module and attribute, the first line of its help); a test holds the two together.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("gateway.cli.init:init", "Write a configuration and a handler to start from."),
    "run": ("gateway.cli.run:run", "Run everything on this machine: edge, workers, admin port."),
    "serve": ("gateway.cli.run:serve", "Run the edge alone: receive and store."),
    "work": ("gateway.cli.run:work", "Run the workers alone: handle what is stored."),
    "check": ("gateway.cli.check:check", "Check all that a start needs, and say what to do."),
    "config": ("gateway.cli.config:config", "Show the configuration in effect, or its JSON Schema."),
    "send": ("gateway.cli.send:send", "Send a signed test delivery to the running gateway."),
    "events": ("gateway.cli.events:events", "List, show and follow stored events."),
    "dead": ("gateway.cli.dead:dead", "List, show, retry and purge dead letters."),
    "replay": ("gateway.cli.replay:replay", "Run stored events through a router again."),
    "routers": ("gateway.cli.routers:routers", "List, pause, resume and forget routers."),
    "sources": ("gateway.cli.sources:sources", "List the configured sources."),
    "contracts": ("gateway.cli.contracts:contracts", "List contracts, test stored events, write a schema."),
    "verify": ("gateway.cli.verify:verify", "Say why a saved request is refused."),
    "rejections": ("gateway.cli.rejections:rejections", "List deliveries that were refused, and why."),
    "quarantine": ("gateway.cli.quarantine:quarantine", "List, show, readmit and purge unverified deliveries."),
    "secrets": ("gateway.cli.secret_uses:secrets", "Tell when each secret was last used, and which can go."),
    "pair": ("gateway.cli.pair:pair", "Open a source for the secret that its provider sends."),
    "providers": ("gateway.cli.providers:providers", "List the known providers, or explain one."),
    "topics": ("gateway.cli.topics:topics", "Create, list and check the topics on Kafka."),
    "store": ("gateway.cli.store:store", "Look at, and bring up to date, the tables in Postgres."),
    "backup": ("gateway.cli.backup:backup", "Copy the log and all state, running or not."),
    "completion": ("gateway.cli.completion:completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported at their first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above is ours
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has seen enough, such as `head`, is no error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still buffered must not raise again when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="webhook-gateway", prog_name="gateway")
def cli() -> None:
    """Receive webhooks: verify, store durably, answer in milliseconds, handle later.

    Start with `gateway init` and `gateway run`.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status.

    0 done, 1 a check failed, 2 bad input or configuration, 3 something outside cannot be reached, 130 interrupted.
    """
    for client in ("aiokafka", "psycopg"):  # what they would say stands in the command's own message
        logging.getLogger(client).addHandler(logging.NullHandler())
    try:
        status = cli.main(arguments, prog_name="gateway", standalone_mode=False)
        return status if isinstance(status, int) else OK
    except click.Abort:
        return _said("interrupted", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except KeyboardInterrupt:
        return _said("interrupted", INTERRUPTED)
    except OSError as error:  # a folder or a file that this user may not use
        return _said(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}", UNREACHABLE)
    except GatewayError as error:
        return _said(str(error), status_of(error))


def status_of(error: GatewayError) -> int:
    """Return the exit status that tells of `error`."""
    if isinstance(error, (ConfigError, PluginError)):
        return BAD_INPUT
    return UNREACHABLE if isinstance(error, (DependencyError, Unavailable)) else FAILED


def _said(message: str, status: int) -> int:
    click.echo("\n".join(f"gateway: {printable(line)}" for line in message.splitlines()), err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
