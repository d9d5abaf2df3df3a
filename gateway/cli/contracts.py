"""`contracts`: what sources require of their events; whether stored events fit; a schema from stored events."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway import wiring
from gateway.cli.inference import DIALECT, NOTHING, join, schema_of, shape_of
from gateway.cli.options import SOURCE, Common, Moment, common, limit
from gateway.cli.output import Output, Row
from gateway.cli.text import moment
from gateway.config.contracts import schema_file
from gateway.config.report import Unread
from gateway.config.settings import Settings, SourceSettings
from gateway.core.errors import GatewayError
from gateway.core.event import Event
from gateway.core.matching import Pattern, compile_pattern
from gateway.core.requirement import EVERY, Requirement
from gateway.keep.ports import Catalogue, Filter

_COLUMNS = ("received_at", "type", "id", "pointer", "rule", "schema")
_ALL = 1_000_000_000


@click.group()
def contracts() -> None:
    """List contracts, test stored events, write a schema."""


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what chooses stored events of a source."""
    options = (
        click.argument("source", type=SOURCE),
        click.option("--type", "type_", help="Of this type, or of a pattern such as invoice.*."),
        click.option("--since", type=Moment(), help="Received then or later: a time, or how long ago, such as 2h."),
        click.option("--until", type=Moment(), help="Received before."),
        limit(100),
    )
    for option in reversed(options):
        function = option(function)
    return function


@contracts.command("list")
@common
def list_contracts(context: Common) -> None:
    """List what each source requires, and by which schema."""
    rows = [
        {"source": source.name, "types": str(each.pattern), "versions": str(versions), "schema": schema.name}
        for source in context.settings().sources
        for each in source.require
        for versions, schema in each.schemas
    ]
    context.output.rows(rows, ("source", "types", "versions", "schema"), empty="no source requires anything")


@contracts.command()
@choosing
@click.option("--schema", type=click.Path(path_type=Path), help="Test this JSON Schema, not what is configured.")
@common
def check(context: Common, source: str, *, schema: Path | None, **chosen: Any) -> int:
    """Test stored events against the contract of their source, the newest first; exit status 1 if one breaks it.

    Each line names a place in the payload, as a JSON pointer, and the rule that does not hold there; never a value.
    """
    from gateway.handle.contracts import Contract  # noqa: PLC0415 - what reads schemas takes 8 MiB

    settings = context.settings()
    contract = Contract(_required(_source(settings, source), schema))
    wanted = _chosen(source, **chosen)
    counts: Counter[str] = Counter()

    def rows() -> Iterator[Row]:
        for event in _events(catalogue, wanted, counts):
            breaches = contract.breaches(event)
            counts["unasked" if breaches is None else "broken" if breaches else "fit"] += 1
            for breach in breaches or ():
                yield {**_row(event), "pointer": breach.pointer, "rule": breach.rule, "schema": breach.schema}

    with closing(wiring.catalogue(settings)) as catalogue:
        context.output.rows(rows(), _COLUMNS, empty="no event breaks the contract")
    _tell(context.output, counts)
    return 1 if counts["broken"] else 0


@contracts.command()
@choosing
@common
def infer(context: Common, source: str, **chosen: Any) -> None:
    """Write a JSON Schema that the stored events fit, the newest ones, to begin a contract from.

    It has names and types, no values. What all of them have is required: take out what your handlers do without.
    """
    settings = context.settings()
    _source(settings, source)
    wanted = _chosen(source, **chosen)
    counts: Counter[str] = Counter()
    shape = NOTHING
    with closing(wiring.catalogue(settings)) as catalogue:
        for event in _events(catalogue, wanted, counts):
            try:
                shape = join(shape, shape_of(event.json()))
            except ValueError:
                counts["no JSON"] += 1
            else:
                counts["fit"] += 1
    if not counts["fit"]:
        raise GatewayError("no such event with a JSON body is stored; `gateway events list` shows those that are")
    title = f"{source} {chosen['type_'] or 'events'}"
    remark = f"Inferred from {counts['fit']} stored events."
    schema = {"$schema": DIALECT, "title": title, "$comment": remark, **schema_of(shape)}
    click.echo(json.dumps(schema, indent=None if context.output.form == "jsonl" else 2))
    _tell(context.output, counts)


def _source(settings: Settings, name: str) -> SourceSettings:
    for source in settings.sources:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in settings.sources)
    raise click.BadParameter(f"no such source; configured: {known}", param_hint="SOURCE")


def _required(source: SourceSettings, file: Path | None) -> tuple[Requirement, ...]:
    if file is not None:
        try:
            return (Requirement(pattern=EVERY, schemas=((EVERY, schema_file(file)),)),)
        except Unread as reason:
            raise click.BadParameter(f"{reason}; {reason.remedy}", param_hint="--schema") from None
    if not source.require:
        raise click.UsageError(f"source {source.name} requires nothing; configure `require`, or give --schema FILE")
    return source.require


class _Chosen(NamedTuple):
    """Which events: those of the filter whose type fits, so many at most."""

    where: Filter
    types: Pattern
    limit: int


def _chosen(source: str, *, type_: str | None, since: int | None, until: int | None, limit: int) -> _Chosen:
    types = _pattern(type_)
    literal = None if types.open_ended else types.stem
    return _Chosen(Filter(source=source, type=literal, since_us=since, until_us=until), types, limit)


def _events(catalogue: Catalogue, chosen: _Chosen, counts: Counter[str]) -> Iterator[Event]:
    """Return the chosen events with their bodies, the newest first; `counts` the records that cannot be read."""
    summaries = catalogue.events(chosen.where, limit=_ALL, newest_first=True)
    for summary in islice((each for each in summaries if chosen.types.matches(each.type)), chosen.limit):
        copies = [copy.event for copy in catalogue.event(summary.source, summary.id) if copy.event is not None]
        event = next((copy for copy in copies if copy.body_sha256 == summary.body_sha256), None)
        if event is None:
            counts["unreadable"] += 1
        else:
            yield event


def _pattern(text: str | None) -> Pattern:
    if text is None:
        return EVERY
    try:
        return compile_pattern(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--type") from None


def _row(event: Event) -> Row:
    return {"received_at": moment(event.received_us), "type": event.type, "id": event.id}


_TOLD: Iterable[tuple[str, str]] = (
    ("fit", "fit"),
    ("broken", "broken"),
    ("unasked", "of types that nothing is required of"),
    ("no JSON", "without a JSON body"),
    ("unreadable", "unreadable"),
)


def _tell(output: Output, counts: Counter[str]) -> None:
    parts = [f"{counts[key]} {words}" for key, words in _TOLD if counts[key]]
    output.note(f"events looked at: {', '.join(parts) or 'none'}")
