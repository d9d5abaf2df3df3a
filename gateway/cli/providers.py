"""`providers`: which senders are known, and how to set each up."""

from collections.abc import Sequence

import click

from gateway.cli import provider_facts
from gateway.cli.options import Common, common
from gateway.cli.output import Row
from gateway.cli.text import span
from gateway.config.installed import PROVIDERS
from gateway.config.problems import did_you_mean
from gateway.core.compile import verification
from gateway.core.provider import Provider


@click.command()
@click.argument("name", required=False)
@common
def providers(context: Common, name: str | None) -> None:
    """List the known providers, or explain one.

    With NAME: how it signs, its set-up, its secret, its traps.
    """
    if name is None:
        rows = [_row(provider) for provider in PROVIDERS.values()]
        context.output.rows(rows, ("provider", "title", "category", "verified_by", "timeout", "retries_for"))
        return
    if name == "custom":
        remedy = "sources of your own are described in the configuration: docs/configuration.md"
        raise click.BadParameter(f"has no facts of its own; {remedy}", param_hint="custom")
    if name not in PROVIDERS:
        raise click.BadParameter(f"unknown provider; {did_you_mean(name, PROVIDERS)}", param_hint="NAME")
    provider = PROVIDERS[name]
    item = {**_row(provider), "secret": provider.key_hint, "methods": list(provider.methods)}
    item |= {"docs": provider.docs, "examples": sorted(provider.examples)}
    if context.output.form == "table":
        context.output.item(item)
        _explain(provider)
    else:
        context.output.item({**item, **_details(provider)})


def _row(provider: Provider) -> Row:
    return {
        "provider": provider.name,
        "title": provider.title,
        "category": provider.category,
        "verified_by": verification(provider),
        "timeout": span(provider.timeout) if provider.timeout else None,
        "retries_for": span(provider.retry_horizon) if provider.retry_horizon else None,
    }


def _details(provider: Provider) -> Row:
    return {
        "schemes": list(provider_facts.schemes(provider)),
        "identity": dict(provider_facts.identity(provider)),
        "settings": {name: setting.hint for name, setting in provider.settings.items()},
        "answers": list(provider_facts.answers(provider)),
        "setup": list(provider.setup),
        "traps": list(provider.traps),
        "unsettled": list(provider.unsettled),
        "configuration": provider_facts.configuration(provider),
    }


def _explain(provider: Provider) -> None:
    _listed("Verification", provider_facts.schemes(provider))
    _listed("Identity", [f"{name}: {text}" for name, text in provider_facts.identity(provider)])
    _listed("Settings", [f"{name}: {setting.hint}" for name, setting in provider.settings.items()])
    _listed("Answers", provider_facts.answers(provider))
    _listed("Set-up", provider.setup)
    _listed("Traps", provider.traps)
    _listed("Not settled", provider.unsettled)
    click.echo(f"\nConfiguration\n{provider_facts.configuration(provider)}", nl=False)


def _listed(title: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo(f"\n{title}")
    for number, line in enumerate(lines, start=1):
        click.echo(f"  {number}. {line}")
