"""`pair`: let a provider that sends its secret at run time hand it over."""

from pathlib import Path

import click

from gateway.cli.edges import running_edges
from gateway.cli.options import SOURCE, Common, common
from gateway.config.references import DSN
from gateway.config.values import duration, duration_text
from gateway.core.errors import DependencyError, GatewayError
from gateway.receive.paired import read_secret, secret_path

LONGEST = 86_400.0


@click.command()
@click.argument("source", type=SOURCE)
@click.option("--for", "how_long", default="10m", show_default=True, help="How long the source stays open.")
@click.option("--close", is_flag=True, help="Close it now.")
@click.option("--show", is_flag=True, help="Only tell whether it is open, and whether it has a secret.")
@click.option("--reveal", is_flag=True, help="Print the stored secret, for the configuration of other machines.")
@common
def pair(context: Common, source: str, *, how_long: str, close: bool, show: bool, reveal: bool) -> None:
    """Open a source for the secret that its provider sends.

    Then register the endpoint with the provider, which sends it. The first secret is taken, closes the source, and
    replaces an earlier one. It is stored below `log.path`, for your user alone, and never shown unless you say
    --reveal. A restart of the gateway closes the source, too.
    """
    if close + show + reveal > 1:
        raise click.UsageError("say one of --close, --show and --reveal")
    settings = context.settings(optional=[DSN])
    if source not in [configured.name for configured in settings.sources]:
        raise click.BadParameter(f"no such source; configured: {', '.join(each.name for each in settings.sources)}")
    if reveal:
        _reveal(context, settings.log.path, source)
        return
    seconds = None if show else 0.0 if close else _seconds(how_long)
    states = [edge.call("pair", source=source, seconds=seconds) for edge in running_edges(settings)]
    opened = max(state["open_seconds"] for state in states)
    paired = any(state["paired"] for state in states)
    context.output.item({"source": source, "open_seconds": opened, "paired": paired})
    if seconds:
        context.output.note(
            f"open for {duration_text(opened)}: register the endpoint with the provider now; other machines get the"
            f" secret by their configuration: `gateway pair {source} --reveal` says how"
        )


def _seconds(text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    if not 0 < seconds <= LONGEST:
        raise click.BadParameter("write a time of up to 24h", param_hint="--for")
    return seconds


def _reveal(context: Common, folder: Path, source: str) -> None:
    path = secret_path(folder, source)
    try:
        secret = read_secret(folder, source)
    except (OSError, ValueError) as error:
        raise DependencyError(f"{path} cannot be read ({type(error).__name__})") from None
    if secret is None:
        raise GatewayError(f"source {source} has not been paired on this machine")
    context.output.item({"source": source, "file": str(path), "secret": secret})
    context.output.note(
        f"on another machine put it into a file, and that into the configuration: sources.{source}.secrets: "
        f"[{{label: {source}, file: PATH}}]"
    )
