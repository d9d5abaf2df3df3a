"""`sources`: the endpoints, and what came in."""

from contextlib import closing

import click

from gateway import wiring
from gateway.cli.options import Common, common
from gateway.cli.output import Row
from gateway.cli.text import moment
from gateway.cli.urls import local_url
from gateway.config.settings import Settings, SourceSettings
from gateway.keep.ports import Catalogue, Filter


@click.group()
def sources() -> None:
    """List the configured sources."""


@sources.command("list")
@common
def list_sources(context: Common) -> None:
    """List the configured sources: their URLs, which secrets are there, and their last event."""
    settings = context.settings()
    with closing(wiring.catalogue(settings)) as catalogue:
        rows = [_row(settings, source, catalogue) for source in settings.sources]
    context.output.rows(rows, ("source", "provider", "url", "secrets", "events", "last_event"))


def _row(settings: Settings, source: SourceSettings, catalogue: Catalogue) -> Row:
    chosen = Filter(source=source.name)
    newest = next(iter(catalogue.events(chosen, limit=1, newest_first=True)), None)
    return {
        "source": source.name,
        "provider": source.provider,
        "url": source.options.public_url or f"{local_url(settings)}/webhooks/{source.name}",
        "secrets": [secret.label for secret in source.secrets],
        "events": catalogue.count(chosen),
        "last_event": moment(newest.received_us) if newest is not None else None,
    }
