"""`run`, `serve` and `work`: start the long-running processes."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.options import ROUTER, Common, common, known_router
from gateway.cli.urls import host_in_url, local_url
from gateway.config.settings import Settings
from gateway.core.errors import ConfigError
from gateway.process import supervisor


@click.command()
@common
def run(context: Common) -> int:
    """Run everything on this machine: edge, workers, admin port.

    Each router gets a process of its own. Ctrl-C drains and stops: what was begun is finished.
    """
    settings = _start(context, secrets=True)
    names = [router.name for router in settings.routers]
    return supervisor.run(settings, edge=True, routers=names, on_ready=lambda: _welcome(context, settings))


@click.command()
@click.option("--workers", type=int, default=1, hidden=True)
@common
def serve(context: Common, workers: int) -> int:
    """Run the edge alone: receive and store.

    Run the handlers with `gateway work`, in other processes on the same machine.
    """
    if workers != 1:
        raise click.UsageError("several edge processes need a log that several can write; the embedded one takes one")
    settings = _start(context, secrets=True)
    return supervisor.run(settings, edge=True, routers=(), on_ready=lambda: _welcome(context, settings))


@click.command()
@click.option("--router", "routers", type=ROUTER, multiple=True, help="This router alone; may be given several times.")
@common
def work(context: Common, routers: Sequence[str]) -> int:
    """Run the workers alone: handle what is stored."""
    settings = _start(context, secrets=False)
    configured = [router.name for router in settings.routers]
    if not configured:
        raise ConfigError(f"{settings.path}: routers: none is configured; name one, or run `gateway serve`")
    for name in routers:
        known_router(name, configured)
    return supervisor.run(settings, edge=False, routers=tuple(dict.fromkeys(routers)) or configured)


def _start(context: Common, *, secrets: bool) -> Settings:
    sys.path.insert(0, str(Path.cwd()))  # routers are imported with the current directory on the path
    return context.settings(secrets=secrets)


def _welcome(context: Common, settings: Settings) -> None:
    server = settings.server
    say = context.output.note
    say(f"gateway ready on {local_url(settings)}")
    for source in settings.sources:
        say(f"  {source.name:<12} {source.options.public_url or f'{local_url(settings)}/webhooks/{source.name}'}")
    say(f"  {'admin':<12} http://{host_in_url(server.admin_host)}:{server.admin_port}/metrics")
    dev = [source.name for source in settings.sources if any(secret.label == "dev" for secret in source.secrets)]
    if dev:
        say(f"development secrets are in use, on loopback alone: {', '.join(dev)}")
    say(f"next, in another terminal: {_program()} send {settings.sources[0].name}{_config_option(context)}")


def _program() -> str:
    """Return the command as it can be typed in this directory."""
    if shutil.which("gateway"):
        return "gateway"
    return sys.argv[0] if Path(sys.argv[0]).name == "gateway" else f"{sys.executable} -m gateway"


def _config_option(context: Common) -> str:
    return "" if str(context.config) == "config/gateway.yaml" else f" --config {context.config}"
