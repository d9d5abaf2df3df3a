"""`quarantine`: deliveries that did not verify, kept as they came: list, show, readmit, purge."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from gateway.cli.edges import running_edges
from gateway.cli.options import SOURCE, Common, common, confirm, limit, yes
from gateway.cli.output import Row
from gateway.cli.text import moment, printable
from gateway.config.installed import provider_of
from gateway.config.references import DSN
from gateway.config.settings import Settings, SourceSettings
from gateway.core.compile import private_header
from gateway.core.errors import DependencyError, GatewayError
from gateway.receive import quarantined
from gateway.receive.quarantined import Entry, Quarantined
from gateway.receive.rejections import RING, read_rejections

_COLUMNS = ("id", "source", "at", "reason", "cause", "bytes", "client")
_TRIED = ("id", "source", "at", "outcome", "reason", "cause")
_MASK = "***"


@click.group()
def quarantine() -> None:
    """List, show, readmit and purge unverified deliveries."""


@quarantine.command("list")
@click.argument("source", type=SOURCE, required=False)
@limit(50)
@common
def list_quarantined(context: Common, *, source: str | None, limit: int) -> None:
    """List what is in quarantine on this machine, the newest first.

    A source has a quarantine if its configuration says `quarantine: {}`.
    """
    settings = _settings(context)
    folder = settings.log.path
    found = sorted(_entries(folder, source), key=lambda pair: pair[1], reverse=True)
    causes = {each.delivery_id: each.cause for each in read_rejections(folder, limit=100 * RING)}
    kept = (quarantined.read(folder, name, entry) for name, entry in found[:limit])
    context.output.rows(
        (_row(each, causes.get(each.id, "")) for each in kept if each is not None),
        _COLUMNS,
        empty=_empty(settings, source),
    )


def _empty(settings: Settings, source: str | None) -> str:
    keeping = [each.name for each in settings.sources if each.quarantine is not None]
    if source in keeping or (source is None and keeping):
        return "nothing is in quarantine"
    return f"nothing is in quarantine; `quarantine: {{}}` is not in the configuration of {source or 'any source'}"


@quarantine.command()
@click.argument("id")
@click.option("--reveal", is_flag=True, help="Show credentials, too: signatures, tokens, the query string.")
@common
def show(context: Common, id: str, *, reveal: bool) -> None:  # noqa: A002 - the argument's name
    """Show one delivery as it came; headers that prove its sender are masked."""
    settings = _settings(context)
    kept = find(settings, id)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept.headers]
    chosen = next((source for source in settings.sources if source.name == kept.source), None)
    shown = headers if reveal else [(name, _masked(chosen, name, value)) for name, value in headers]
    query = kept.query.decode("latin-1") if reveal or not kept.query else _MASK
    if context.output.form == "table":
        _draw(kept, query, shown)
        return
    context.output.item(
        {
            **_row(kept, ""),
            "method": kept.method,
            "query": query,
            "headers": [list(pair) for pair in shown],
            "body_base64": base64.b64encode(kept.body).decode(),
        }
    )


@quarantine.command()
@click.argument("chosen", metavar="SOURCE|ID...", nargs=-1, required=True, type=SOURCE)
@click.option("--dry-run", is_flag=True, help="Only tell what would verify; store and remove nothing.")
@common
def readmit(context: Common, chosen: Sequence[str], *, dry_run: bool) -> int:
    """Verify deliveries again, under the secrets that the running gateway has now, and store what verifies.

    Mend the secret and restart the gateway first. Each is judged as of its own arrival, and stored as any other
    delivery is, duplicates known; then it leaves the quarantine. Exits 1 if one could not be judged or stored now.
    """
    settings = _settings(context)
    wanted = _by_source(settings, chosen)
    edge = running_edges(settings)[0]
    sums: dict[str, int] = {}

    def told() -> Iterator[Row]:
        for source, ids in wanted.items():
            for kind, value in edge.follow("readmit", source=source, ids=ids, dry_run=dry_run):
                if kind == "progress" and "id" in value:
                    sums[value["outcome"]] = sums.get(value["outcome"], 0) + 1
                    yield {**value, "at": moment(value["at_us"])}

    context.output.rows(told(), _TRIED, empty="nothing is in quarantine there")
    if sums:
        done = ", ".join(f"{count} {outcome}" for outcome, count in sorted(sums.items()))
        context.output.note(f"dry run, nothing stored: {done}" if dry_run else done)
    return 1 if "unavailable" in sums else 0


@quarantine.command()
@click.argument("chosen", metavar="SOURCE|ID...", nargs=-1, required=True, type=SOURCE)
@yes
@common
def purge(context: Common, chosen: Sequence[str], *, yes: bool) -> None:
    """Forget deliveries in quarantine for good, the gateway running or not."""
    settings = _settings(context)
    folder, wanted = settings.log.path, _by_source(settings, chosen)
    count = sum(len(ids) for ids in wanted.values())
    confirm(f"Forget {count} deliveries for good?", yes=yes)
    gone = 0
    for source, ids in wanted.items():
        for entry in quarantined.entries(folder, source):
            gone += entry.id in ids and quarantined.forget(folder, source, entry)
    context.output.item({"purged": gone})


def find(settings: Settings, id: str, *, source: str | None = None) -> Quarantined:  # noqa: A002 - as above
    """Return a delivery in quarantine by its id.

    Raises:
        GatewayError: there is none, or it is another source's.
        DependencyError: its file cannot be read.
    """
    for name, entry in _entries(settings.log.path, source):
        if entry.id == id:
            kept = quarantined.read(settings.log.path, name, entry)
            if kept is None:
                raise DependencyError(f"delivery {id} cannot be read any more; `gateway quarantine purge {id}`")
            return kept
    of = f" of source {source}" if source else ""
    raise GatewayError(f"no delivery {id}{of} is in quarantine on this machine; see `gateway quarantine list`")


def _settings(context: Common) -> Settings:
    return context.settings(optional=[DSN])


def _entries(folder: Path, source: str | None = None) -> Iterator[tuple[str, Entry]]:
    for name in quarantined.sources(folder) if source is None else (source,):
        for entry in quarantined.entries(folder, name):
            yield name, entry


def _by_source(settings: Settings, chosen: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids meant, by source: all of a source that is named, the oldest first."""
    there = list(_entries(settings.log.path))
    known = {source.name for source in settings.sources} | {name for name, _ in there} | {each.id for _, each in there}
    for word in chosen:
        if word not in known:
            raise GatewayError(f"nothing in quarantine here is called {word}; see `gateway quarantine list`")
    found: dict[str, list[str]] = {}
    for name, entry in there:
        if name in chosen or entry.id in chosen:
            found.setdefault(name, []).append(entry.id)
    return found


def _masked(source: SourceSettings | None, name: str, value: str) -> str:
    provider = None if source is None else provider_of(source)
    return _MASK if private_header(provider, name) else value


def _draw(kept: Quarantined, query: str, headers: Sequence[tuple[str, str]]) -> None:
    target = f"/webhooks/{kept.source}" + (f"?{query}" if query else "")
    lines = [f"{kept.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), ""]
    for line in (*lines, *kept.body.decode("utf-8", "backslashreplace").splitlines()):
        click.echo(printable(line))


def _row(kept: Quarantined, cause: str) -> dict[str, Any]:
    return {
        "id": kept.id,
        "source": kept.source,
        "at": moment(kept.at_us),
        "reason": kept.reason,
        "cause": cause,
        "bytes": len(kept.body),
        "client": kept.client,
    }
