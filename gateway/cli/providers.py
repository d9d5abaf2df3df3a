"""`providers`: which senders are known, and how to set each up."""

import click

from gateway.cli.options import Common, common
from gateway.cli.output import Row
from gateway.cli.text import span
from gateway.config.problems import did_you_mean
from gateway.core.provider import Provider
from gateway.providers import PROVIDERS


@click.command()
@click.argument("name", required=False)
@common
def providers(context: Common, name: str | None) -> None:
    """List the known providers, or explain one.

    With NAME: its set-up, its secret, its traps.
    """
    if name is None:
        rows = [_row(name, provider) for name, provider in sorted(PROVIDERS.items())]
        context.output.rows(rows, ("provider", "title", "signature", "timeout", "retries_for"))
        return
    if name not in PROVIDERS:
        raise click.BadParameter(f"unknown provider; {did_you_mean(name, PROVIDERS)}", param_hint="NAME")
    provider = PROVIDERS[name]
    item = {**_row(name, provider), "secret": provider.key_hint, "methods": list(provider.methods)}
    item |= {"docs": provider.docs, "examples": sorted(provider.examples)}
    if context.output.form != "table":
        context.output.item({**item, "setup": list(provider.setup), "traps": list(provider.traps)})
        return
    context.output.item(item)
    _listed("Set-up", provider.setup)
    _listed("Traps", provider.traps)


def _row(name: str, provider: Provider) -> Row:
    return {
        "provider": name,
        "title": provider.title,
        "signature": list(dict.fromkeys(scheme.header for scheme in provider.schemes)),
        "timeout": span(provider.timeout) if provider.timeout else None,
        "retries_for": span(provider.retry_horizon) if provider.retry_horizon else None,
    }


def _listed(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        click.echo(f"\n{title}")
    for number, line in enumerate(lines, start=1):
        click.echo(f"  {number}. {line}")
