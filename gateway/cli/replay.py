"""`replay`: run stored events through a router again."""

import secrets
import sys
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from gateway import wiring
from gateway.cli import operating
from gateway.cli.events import filters, where
from gateway.cli.options import ROUTER, Common, common, confirm, known_router, yes
from gateway.config.plugins import import_router
from gateway.config.settings import RouterSettings
from gateway.core.errors import PluginError


@click.command()
@click.option("--router", type=ROUTER, required=True, help="The router that runs them.")
@click.option("--handler", help="This handler alone.")
@filters
@click.option(
    "--mode",
    type=click.Choice(["missing", "force"]),
    default="missing",
    show_default=True,
    help="`missing` runs what has no mark; `force` runs what is done once more.",
)
@click.option("--new-keys", is_flag=True, help="Give handlers new idempotency keys: outside effects happen again.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many events a second.")
@click.option("--dry-run", is_flag=True, help="Count, and do nothing.")
@yes
@common
def replay(context: Common, *, router: str, yes: bool, dry_run: bool, **options: Any) -> int:
    """Run stored events through a router again.

    Says how many events fit, then shows progress. A replay is durable: it goes on after a restart of the worker, and
    without this command. With no worker running, it begins when one starts.
    """
    settings = context.settings()
    known_router(router, [configured.name for configured in settings.routers])
    if options["handler"] is not None:
        _known_handler(context, next(each for each in settings.routers if each.name == router), options["handler"])
    chosen = where(**{name: options.pop(name) for name in ("source", "type_", "key", "since", "until")})
    with closing(wiring.catalogue(settings)) as catalogue:
        count = catalogue.count(chosen)
    if dry_run or not count:
        context.output.item({"router": router, "events": count, "state": "counted"})
        return 0
    if options["mode"] == "force":
        confirm(f"Run up to {count} events of {router} again, those that are done too?", yes=yes)
    context.output.note(f"{count} stored events fit")
    arguments: dict[str, Any] = {"source": chosen.source, "type": chosen.type, "key": chosen.key}
    arguments |= {"since_us": chosen.since_us, "until_us": chosen.until_us, **options}
    arguments["id"] = f"r{secrets.token_hex(6)}"
    answers = wiring.operate(settings, router, "replay", arguments)
    results: list[dict[str, Any]] = []
    context.output.follow(operating.steps(answers, _step, results.append), f"replay of {router}")
    result = results[-1]
    if result["state"] == "done" and result["handed"] != result["total"]:
        context.output.note(
            f"{result['handed']} events were read again, {result['total']} were counted before: on Kafka what is not"
            " indexed yet is not counted"
        )
    context.output.item({"router": router, **result})
    return 0 if results[-1]["state"] != "cancelled" else 1


def _known_handler(context: Common, router: RouterSettings, handler: str) -> None:
    """Refuse a handler that the router does not have, as far as the router can be imported here.

    Raises:
        click.BadParameter: naming the nearest, and all.
    """
    sys.path.insert(0, str(Path.cwd()))  # routers are imported with the current directory on the path
    try:
        imported = import_router(router)
    except PluginError as error:
        context.output.note(f"whether router {router.name} has a handler {handler} is not known here: {error}")
        return
    if imported.handler(handler) is None:
        names = [each.name for each in imported.handlers]
        near = get_close_matches(handler, names, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise click.BadParameter(f"router {router.name} has no handler {handler}; it has: {', '.join(names)}{meant}")


def _step(progress: dict[str, Any]) -> tuple[int, int]:
    return progress["handed"], progress["total"]
