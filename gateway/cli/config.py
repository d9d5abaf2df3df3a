"""`config`: what is in effect, and the rules."""

import json

import click

from gateway.cli.options import Common, common
from gateway.config.references import CREDENTIALS
from gateway.config.schema import json_schema
from gateway.config.show import effective


@click.group()
def config() -> None:
    """Show the configuration in effect, or its JSON Schema."""


@config.command()
@common
def show(context: Common) -> None:
    """Show every value in effect and where it comes from. Secrets are masked.

    Secrets that cannot be read here are left out; `gateway check` tells of them.
    """
    loaded = context.loaded(optional=CREDENTIALS)
    rows = [{"key": each.key, "value": each.value, "origin": each.origin} for each in effective(loaded)]
    context.output.rows(rows, ("key", "value", "origin"))


@config.command()
def schema() -> None:
    """Print the JSON Schema, for editors: `# yaml-language-server: $schema=FILE`."""
    click.echo(json.dumps(json_schema(), indent=2))
