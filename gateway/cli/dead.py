"""`dead`: what will not be run again by itself."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, get_args

import click

from gateway import wiring
from gateway.cli import operating
from gateway.cli.options import ROUTER, SOURCE, Common, common, confirm, limit, yes
from gateway.cli.output import Row
from gateway.cli.text import moment, printable
from gateway.core.errors import GatewayError
from gateway.keep.ports import DeadLetter, DeadReason

_COLUMNS = ("router", "number", "died_at", "handler", "reason", "source", "type", "id", "attempts", "error")


@click.group()
def dead() -> None:
    """List, show, retry and purge dead letters."""


@dead.command("list")
@click.option("--router", type=ROUTER, help="Of this router.")
@limit(50)
@common
def list_dead(context: Common, *, router: str | None, limit: int) -> None:
    """List dead letters, the oldest first."""
    with closing(wiring.catalogue(context.settings())) as catalogue:
        letters = catalogue.dead_letters(router, limit=limit)
        context.output.rows((_row(letter) for letter in letters), _COLUMNS, empty="no dead letters")


@dead.command()
@click.argument("router", type=ROUTER)
@click.argument("number", type=int)
@common
def show(context: Common, router: str, number: int) -> None:
    """Show one dead letter with its trace."""
    with closing(wiring.catalogue(context.settings())) as catalogue:
        letter = next(iter(catalogue.dead_letters(router, limit=1, after_id=number - 1)), None)
    if letter is None or letter.id != number:
        raise GatewayError(f"router {router} has no dead letter {number}; see `gateway dead list --router {router}`")
    if context.output.form != "table":
        context.output.item({**_row(letter), "trace": letter.trace})
        return
    context.output.item(_row(letter))
    for line in letter.trace.splitlines():
        click.echo(printable(line))


def _choosing(function: Any) -> Any:
    for option in (
        click.option(
            "--all", "everything", is_flag=True, help="All that fit the options below; of all, if none is set."
        ),
        click.option("--handler", help="Of this handler."),
        click.option("--source", type=SOURCE, help="Of this source."),
        click.option("--reason", type=click.Choice(get_args(DeadReason)), help="Of this reason."),
    ):
        function = option(function)
    return click.argument("router", type=ROUTER)(click.argument("numbers", type=int, nargs=-1)(function))


@dead.command()
@_choosing
@common
def retry(context: Common, router: str, numbers: Sequence[int], **chosen: Any) -> int:
    """Let dead letters of a router run again, attempts counted anew. Give their numbers, or --all."""
    arguments = _chosen(numbers, **chosen)
    count = operating.call(context.settings(), router, "dead_retry", **arguments)
    context.output.item({"router": router, "retried": count})
    return _found(context, router, numbers, count)


@dead.command()
@_choosing
@yes
@common
def purge(context: Common, router: str, numbers: Sequence[int], *, yes: bool, **chosen: Any) -> int:
    """Forget dead letters of a router for good. Give their numbers, or --all."""
    arguments = _chosen(numbers, **chosen)
    settings = context.settings()
    confirm(f"Forget {len(numbers) or 'all fitting'} dead letters of {router} for good?", yes=yes)
    count = operating.call(settings, router, "dead_purge", **arguments)
    context.output.item({"router": router, "purged": count})
    return _found(context, router, numbers, count)


def _found(context: Common, router: str, numbers: Sequence[int], count: int) -> int:
    """Return the exit status: 1 if one of the numbers is that of no dead letter."""
    missing = len(set(numbers)) - count
    if missing > 0:
        context.output.note(f"not there: {missing} of the numbers; see `gateway dead list --router {router}`")
    return int(missing > 0)


def _chosen(numbers: Sequence[int], *, everything: bool, **narrower: str | None) -> dict[str, Any]:
    if bool(numbers) == everything:
        raise click.UsageError("give the numbers of dead letters, or --all")
    if numbers and any(narrower.values()):
        raise click.UsageError("--handler, --source and --reason go with --all")
    return {"ids": list(numbers), **narrower}


def _row(letter: DeadLetter) -> Row:
    event = letter.pair.event
    return {
        "router": letter.router,
        "number": letter.id,
        "handler": letter.pair.handler,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "died_at": moment(letter.died_us),
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": moment(event.time_us),
        "received_at": moment(event.received_us),
        "key": event.key,
        "body_sha256": event.body_sha256.hex(),
    }
