"""`run`, `serve` and `work`: start the long-running processes."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.options import ROUTER, Common, common, known_router
from gateway.cli.urls import host_in_url, local_url
from gateway.config.problems import KeyPath
from gateway.config.references import DSN
from gateway.config.settings import Settings
from gateway.core.errors import ConfigError
from gateway.process import supervisor


@click.command()
@common
def run(context: Common) -> int:
    """Run everything on this machine: edge, workers, admin port.

    Each router gets a process of its own; on Kafka the indexer does, too. Ctrl-C drains and stops: what was begun is
    finished.
    """
    settings = _start(context, secrets=True, handlers=True)
    return supervisor.run(
        settings,
        edges=1,
        routers=[router.name for router in settings.routers],
        indexer=_is_indexed(settings),
        on_ready=lambda: _welcome(context, settings),
    )


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Edge processes on the one port; several need `log.engine: kafka`.",
)
@common
def serve(context: Common, workers: int) -> int:
    """Run the edge alone: receive and store.

    Run the handlers with `gateway work`: in other processes on the same machine, and on Kafka on any machine.
    """
    settings = _start(context, secrets=True, optional=[DSN])
    if workers != 1 and settings.log.engine == "sqlite":
        raise click.UsageError("several edge processes need a log that several can write; the embedded one takes one")
    return supervisor.run(settings, edges=workers, on_ready=lambda: _welcome(context, settings))


@click.command()
@click.option("--router", "routers", type=ROUTER, multiple=True, help="This router alone; may be given several times.")
@click.option("--indexer", is_flag=True, help="The indexer alone, or beside the routers named; on Kafka.")
@common
def work(context: Common, routers: Sequence[str], *, indexer: bool) -> int:
    """Run the workers alone: handle what is stored.

    On Kafka the indexer runs beside them, which writes down what `gateway events` lists; any number may run, on any
    machines.
    """
    settings = _start(context, handlers=True)
    if indexer and not _is_indexed(settings):
        raise click.UsageError("the embedded log is its own index: leave out --indexer")
    configured = [router.name for router in settings.routers]
    if not configured and not indexer:
        raise ConfigError(f"{settings.path}: routers: none is configured; name one, or run `gateway serve`")
    for name in routers:
        known_router(name, configured)
    every = not routers and not indexer
    chosen = configured if every else tuple(dict.fromkeys(routers))
    return supervisor.run(settings, routers=chosen, indexer=indexer or (every and _is_indexed(settings)))


def _is_indexed(settings: Settings) -> bool:
    return settings.log.engine == "kafka"


def _start(
    context: Common, *, secrets: bool = False, handlers: bool = False, optional: Sequence[KeyPath] = ()
) -> Settings:
    sys.path.insert(0, str(Path.cwd()))  # routers are imported with the current directory on the path
    return context.settings(secrets=secrets, handlers=handlers, optional=optional)


def _welcome(context: Common, settings: Settings) -> None:
    server = settings.server
    say = context.output.note
    width = max([12, *(len(source.name) for source in settings.sources)])
    say(f"gateway ready on {local_url(settings)}")
    for source in settings.sources:
        say(f"  {source.name:<{width}} {source.options.public_url or f'{local_url(settings)}/webhooks/{source.name}'}")
    say(f"  {'admin':<{width}} http://{host_in_url(server.admin_host)}:{server.admin_port}/metrics")
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
