"""`routers`: what they are doing, and whether they may."""

from typing import Any

import click

from gateway import wiring
from gateway.cli import operating
from gateway.cli.options import ROUTER, Common, common, confirm, known_router, yes
from gateway.cli.output import Row
from gateway.cli.text import span
from gateway.config.settings import Settings
from gateway.core.errors import DamagedError, GatewayError

_COLUMNS = ("router", "use", "running", "paused", "backlog", "oldest", "retries", "dead", "gap")


@click.group()
def routers() -> None:
    """List, pause, resume and forget routers."""


@routers.command("list")
@common
def list_routers(context: Common) -> int:
    """List the configured routers, and those that left state behind."""
    settings = context.settings()
    uses = {router.name: router.use for router in settings.routers}
    left = [name for name in wiring.known_routers(settings) if name not in uses]
    rows, damaged = [], False
    for name in (*uses, *left):
        try:
            rows.append(_row(settings, name, uses.get(name)))
        except DamagedError as error:
            context.output.note(f"router {name}: {error}")
            damaged = True
    context.output.rows(_for_people(rows) if context.output.form == "table" else rows, _COLUMNS, empty="no routers")
    return 1 if damaged else 0


@routers.command()
@click.argument("router", type=ROUTER)
@common
def pause(context: Common, router: str) -> None:
    """Let a router begin nothing new; its events wait. It lasts over restarts, until `resume`."""
    _change(context, router, "pause")


@routers.command()
@click.argument("router", type=ROUTER)
@common
def resume(context: Common, router: str) -> None:
    """Let a paused router go on, whether you or its breaker paused it."""
    _change(context, router, "resume")


@routers.command()
@click.argument("router", type=ROUTER)
@yes
@common
def forget(context: Common, router: str, *, yes: bool) -> None:
    """Remove all state of a router: cursor, marks, retries, dead letters, and on SQLite its handlers' tables.

    Then the log no longer keeps events for it. Should it come back, it begins as a new one.
    """
    settings = context.settings()
    if router not in wiring.known_routers(settings):
        raise GatewayError(f"router {router} has no state here")
    if wiring.is_running(settings, router):
        raise GatewayError(f"router {router} is running; stop the gateway, or take it out of the configuration first")
    confirm(f"Remove the cursor, marks, retries, dead letters and tables of {router} for good?", yes=yes)
    wiring.forget_router(settings, router)
    context.output.item({"router": router, "state": "forgotten"})


def _change(context: Common, router: str, op: str) -> None:
    settings = context.settings()
    known_router(router, [configured.name for configured in settings.routers])
    paused = operating.call(settings, router, op)
    context.output.item({"router": router, "paused": paused})


def _row(settings: Settings, name: str, use: str | None) -> dict[str, Any]:
    status = wiring.router_status(settings, name)
    return {
        "router": name,
        "use": use or "(not configured)",
        "running": wiring.is_running(settings, name),
        "paused": status.paused,
        "backlog": status.backlog_events,
        "oldest": status.oldest_unprocessed_seconds,
        "retries": status.retries_parked,
        "dead": status.dead_letters,
        "gap": status.gap_events,
    }


def _for_people(rows: list[dict[str, Any]]) -> list[Row]:
    return [{**row, "oldest": span(row["oldest"])} for row in rows]
