"""`backup`: a copy that can be started from."""

from pathlib import Path

import click

from gateway import wiring
from gateway.cli.options import Common, common


@click.command()
@click.argument("destination", type=click.Path(path_type=Path, file_okay=False))
@common
def backup(context: Common, destination: Path) -> None:
    """Copy the log and all state, running or not.

    DESTINATION is a new folder. The state is copied before the log, so that no cursor of the copy is beyond the
    end of the copied log.
    """
    if destination.exists() and any(destination.iterdir()):
        raise click.BadParameter("is not empty; name a new folder", param_hint="DESTINATION")
    settings = context.settings()
    steps = wiring.backup(settings, destination)
    context.output.follow(((done, pages) for _, done, pages in steps), "backup")
    size = sum(path.stat().st_size for path in destination.rglob("*") if path.is_file())
    context.output.item({"destination": str(destination), "bytes": size})
