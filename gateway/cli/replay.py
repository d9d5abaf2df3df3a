"""`replay`: run stored events through a router again."""

import secrets
from contextlib import closing
from typing import Any

import click

from gateway import wiring
from gateway.cli import operating
from gateway.cli.events import filters, where
from gateway.cli.options import ROUTER, Common, common, confirm, known_router, yes


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
    context.output.item({"router": router, **results[-1]})
    return 0 if results[-1]["state"] != "cancelled" else 1


def _step(progress: dict[str, Any]) -> tuple[int, int]:
    return progress["handed"], progress["total"]
