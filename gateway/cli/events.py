"""`events`: list, show and follow what is stored."""

import base64
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from gateway import wiring
from gateway.cli.options import SOURCE, Common, Moment, common, limit
from gateway.cli.output import Row
from gateway.cli.pending import named
from gateway.cli.text import cell, moment
from gateway.core.errors import GatewayError
from gateway.core.event import Event
from gateway.keep.places import kafka_partition
from gateway.keep.ports import Catalogue, Filter, PairStatus, Position, Stored, Summary

_COLUMNS = ("received_at", "source", "type", "id", "key", "body_bytes", "flags")
_POLL_SECONDS = 0.5
_AT_ONCE = 1000


@click.group()
def events() -> None:
    """List, show and follow stored events."""


def filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose events; they arrive as one `where`."""
    options = (
        click.option("--source", type=SOURCE, help="Of this source."),
        click.option("--type", "type_", help="Of this type."),
        click.option("--key", help="Of this ordering key."),
        click.option("--since", type=Moment(), help="Received then or later: a time, or how long ago, such as 2h."),
        click.option("--until", type=Moment(), help="Received before."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@events.command("list")
@filters
@limit(50)
@common
def list_events(context: Common, *, limit: int, **chosen: Any) -> None:
    """List stored events, the newest first."""
    with closing(_catalogue(context)) as catalogue:
        found = catalogue.events(where(**chosen), limit=limit, newest_first=True)
        context.output.rows((_row(summary) for summary in found), _COLUMNS, empty="no stored event fits")


@events.command()
@click.argument("source", type=SOURCE)
@click.argument("event_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Write the body's exact bytes, nothing else.")
@click.option("--copy", type=click.IntRange(1), default=1, help="Which copy, if an id conflict left several.")
@common
def show(context: Common, source: str, event_id: str, *, raw: bool, copy: int) -> None:
    """Show one event, and what each handler made of it."""
    settings = context.settings()
    with closing(wiring.catalogue(settings)) as catalogue:
        copies = catalogue.event(source, event_id)
        if not copies:
            raise GatewayError("no such event is stored; `gateway events list` shows those that are")
        if copy > len(copies):
            raise click.BadParameter(f"there are {len(copies)} copies", param_hint="--copy")
        stored = copies[copy - 1]
        if raw:
            sys.stdout.buffer.write(_event(stored).body)
            sys.stdout.buffer.flush()
            return
        states = named(catalogue.states(stored), _event(stored), settings)
        _show(context, stored, len(copies), states)


@events.command()
@filters
@common
def tail(context: Common, **chosen: Any) -> None:
    """Follow new events until Ctrl-C. With --since, begin there."""
    chosen_where = where(**chosen)
    with closing(_catalogue(context)) as catalogue:
        after = None if chosen_where.since_us is not None else catalogue.end()
        while True:
            for summary in _newer(catalogue, chosen_where, after):
                after = summary.position
                _print_followed(context, summary)
            time.sleep(_POLL_SECONDS)


def where(*, source: str | None, type_: str | None, key: str | None, since: int | None, until: int | None) -> Filter:
    """Return the filter that the options of `filters` name."""
    return Filter(source=source, type=type_, key=key, since_us=since, until_us=until)


def _catalogue(context: Common) -> Catalogue:
    return wiring.catalogue(context.settings())


def _newer(catalogue: Catalogue, chosen: Filter, after: Position | None) -> Iterator[Summary]:
    while True:
        found = list(catalogue.events(chosen, limit=_AT_ONCE, newest_first=False, after=after))
        yield from found
        if len(found) < _AT_ONCE:
            return
        after = found[-1].position


def _print_followed(context: Common, summary: Summary) -> None:
    row = _row(summary)
    if context.output.form == "table":
        click.echo("  ".join(cell(row[column]) for column in _COLUMNS))
    else:
        context.output.line(row)


def _row(summary: Summary) -> Row:
    return {
        "source": summary.source,
        "id": summary.id,
        "type": summary.type,
        "time": moment(summary.time_us),
        "received_at": moment(summary.received_us),
        "key": summary.key,
        "provider": summary.provider,
        "body_bytes": summary.body_bytes,
        "body_sha256": summary.body_sha256.hex(),
        "flags": list(summary.flags),
        "partition": kafka_partition(summary.position.partition),
        "offset": summary.position.offset,
    }


def _event(stored: Stored) -> Event:
    if stored.event is None:
        raise GatewayError(f"this record cannot be read: {stored.error}")
    return stored.event


def _show(context: Common, stored: Stored, copies: int, states: Sequence[PairStatus]) -> None:
    event = _event(stored)
    item = _described(event, stored.position, copies)
    handlers = [_state(status) for status in states]
    if context.output.form != "table":
        context.output.item({**item, **_body(event.body), "handlers": handlers})
        return
    context.output.item(item)
    click.echo()
    columns = ("router", "handler", "state", "attempts", "at", "next", "error")
    context.output.rows(handlers, columns, empty="no handler takes this event")


def _described(event: Event, position: Position, copies: int) -> dict[str, Any]:
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": moment(event.time_us),
        "received_at": moment(event.received_us),
        "key": event.key,
        "provider": event.provider,
        "delivery_id": event.delivery_id,
        "traceparent": event.traceparent,
        "verified_by": event.verified_by,
        "flags": list(event.flags),
        "content_type": event.content_type,
        "headers": dict(event.headers),
        "body_bytes": len(event.body),
        "body_sha256": event.body_sha256.hex(),
        "batch_index": event.batch_index,
        "partition": kafka_partition(position.partition),
        "offset": position.offset,
        "copies": copies,
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _state(status: PairStatus) -> Row:
    return {
        "router": status.router,
        "handler": status.handler,
        "state": status.state,
        "attempts": status.attempts,
        "at": moment(status.at_us),
        "next": moment(status.next_us),
        "error": status.error,
        "replay": status.replay,
    }
