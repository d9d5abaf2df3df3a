"""`init`: a configuration and a handler to start from."""

from importlib import resources
from pathlib import Path

import click

from gateway.core.errors import GatewayError

_FILES = {"config/gateway.yaml": "gateway.yaml", "handlers/my_handler.py": "my_handler.py"}
# A regular package: without this file another `handlers` that is installed would be found first.
_PACKAGE = "handlers/__init__.py"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def init(directory: Path, *, force: bool) -> None:
    """Write a configuration and a handler to start from.

    They go into DIRECTORY, by default the current one.
    """
    taken = [name for name in _FILES if (directory / name).exists()]
    if taken and not force:
        raise GatewayError(f"{', '.join(taken)} is there already; --force overwrites it")
    templates = resources.files("gateway.cli") / "templates"
    for name, template in _FILES.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((templates / template).read_text(encoding="utf-8"), encoding="utf-8")
        click.echo(f"wrote {target}")
    (directory / _PACKAGE).touch()
    click.echo("\nnext:")
    if directory.resolve() != Path.cwd():
        click.echo(f"  cd {directory}")
    for command in ("check", "run", "send github push      (in another terminal)", "events list"):
        click.echo(f"  gateway {command}")
