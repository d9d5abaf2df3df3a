"""What every command takes: `--config`, `--output`, and the few that several share."""

import functools
import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gateway.cli.output import Form, Output
from gateway.config.load import Loaded, load, read
from gateway.config.problems import ConfigProblems, KeyPath
from gateway.config.references import CREDENTIALS, FETCH
from gateway.config.settings import Settings
from gateway.config.values import duration

DEFAULT_CONFIG = "config/gateway.yaml"
CONFIG_VARIABLE = "GATEWAY_CONFIG"


@dataclass(frozen=True, slots=True)
class Common:
    """What every command is given."""

    config: Path
    output: Output

    def settings(
        self, *, secrets: bool = False, handlers: bool = False, optional: Collection[KeyPath] = ()
    ) -> Settings:
        """Load the configuration.

        Without `secrets`, what `handlers` fetch with, and what is `optional`, where the command needs none of it.

        Raises:
            ConfigProblems: it is wrong.
        """
        return self.loaded(secrets=secrets, handlers=handlers, optional=optional).settings

    def loaded(self, *, secrets: bool = False, handlers: bool = False, optional: Collection[KeyPath] = ()) -> Loaded:
        """Load the configuration with the origin of each value. Otherwise as `settings`."""
        spared = optional if handlers else (*optional, FETCH)
        return read(self.config, os.environ, secrets=secrets, optional=spared)


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and `--output`, and a `Common` as its first argument."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar=CONFIG_VARIABLE,
        default=DEFAULT_CONFIG,
        show_default=True,
        show_envvar=True,
        help="The configuration file.",
    )
    @click.option(
        "--output",
        type=click.Choice(["table", "json", "jsonl"]),
        default="table",
        show_default=True,
        help="The form of what is printed.",
    )
    @functools.wraps(function)
    def command(*args: Any, config: Path, output: Form, **kwargs: Any) -> Any:
        return function(Common(config, Output(output)), *args, **kwargs)

    return command


yes = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; without a terminal, `--yes` must answer.

    Raises:
        click.UsageError: nobody can be asked.
        click.Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say --yes: there is no terminal to ask on.")
    click.confirm(question, abort=True, err=True)


class Moment(click.ParamType[int]):
    """A time: ISO 8601 (UTC unless it says otherwise), or a duration ago such as `2h`. Microseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the microseconds."""
        if isinstance(value, int):
            return value
        now = datetime.now(UTC)
        try:
            if re.fullmatch(r"[0-9.]+[a-z]+", value):
                return round((now.timestamp() - duration(value)) * 1_000_000)
            moment = datetime.fromisoformat(value)
            return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
        except (ValueError, OverflowError):
            self.fail(
                "write a time such as 2026-11-21T08:00:00Z or 2026-11-21, or how long ago, such as 2h", param, ctx
            )


class ConfiguredName(click.ParamType[str]):
    """A name from the configuration, completed by the shell. `kind` is `sources` or `routers`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.name = kind.removesuffix("s")

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the configured names; a wrong configuration completes nothing."""
        path = Path(ctx.params.get("config") or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
        try:
            settings = load(path, os.environ, secrets=False, optional=CREDENTIALS)
        except ConfigProblems:
            return []
        names = [item.name for item in (settings.sources if self.kind == "sources" else settings.routers)]
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


SOURCE = ConfiguredName("sources")
ROUTER = ConfiguredName("routers")


def known_router(name: str, configured: Sequence[str]) -> None:
    """Refuse a router that is not configured.

    Raises:
        click.BadParameter: naming those that are.
    """
    if name not in configured:
        raise click.BadParameter(f"no such router; configured: {', '.join(configured) or 'none'}")


def limit(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--limit`."""
    return click.option(
        "--limit", type=click.IntRange(1, 1_000_000), default=default, show_default=True, help="At most so many."
    )
