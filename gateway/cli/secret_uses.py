"""`secrets`: when each one was last used, and whether an old one can be removed. No secret is shown."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from gateway.cli.options import SOURCE, Common, common
from gateway.cli.output import Row
from gateway.cli.text import moment, span
from gateway.config.installed import provider_of
from gateway.config.references import DSN
from gateway.config.sources import ReadSource
from gateway.core.compile import horizon
from gateway.receive import uses
from gateway.receive.paired import LABEL
from gateway.receive.uses import Record, Use

_COLUMNS = ("source", "secret", "from", "last_used", "uses", "verdict")
_QUERY = "max by (source, secret) (gateway_secret_last_used_timestamp_seconds)"
_QUIET_US = 300 * 1_000_000


@click.command()
@click.argument("source", type=SOURCE, required=False)
@common
def secrets(context: Common, *, source: str | None) -> None:
    """Tell when each secret was last used, and which can go.

    An old secret can be removed once it has verified nothing for longer than its provider may send an event again,
    while another one did. Edges write down what they see every half minute, each machine for itself. Never the texts.
    """
    loaded = context.loaded(optional=[DSN])
    if source is not None and source not in loaded.sources:
        raise click.BadParameter(f"no such source; configured: {', '.join(loaded.sources)}")
    record = uses.read(loaded.settings.log.path) or Record("")
    now_us = time.time_ns() // 1000
    chosen = [each for name, each in loaded.sources.items() if source in (None, name)]
    rows = [row for each in chosen for row in _rows(each, record, now_us)]
    context.output.rows(rows, _COLUMNS, empty="no source of these has a secret")
    if now_us - record.seen_us > _QUIET_US:
        context.output.note(
            f"no edge runs here; the record ends at {moment(record.seen_us)}" if record.seen_us else _NONE
        )
    context.output.note(f"this is what this machine saw; of all machines: {_QUERY}")


_NONE = "no edge of this machine has kept a record yet; start the gateway"


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of the secrets of one source.

    Attributes:
        known: their uses by label.
        horizon: for how many seconds an event may come again.
        seen_us: when an edge last looked, microseconds since the epoch.
        now_us: now.
    """

    known: Mapping[str, Use]
    horizon: float
    seen_us: int
    now_us: int


def _rows(source: ReadSource, record: Record, now_us: int) -> Iterator[Row]:
    settings = source.settings
    kept = record.sources.get(settings.name, {})
    origins = {found.secret.label: _origin(found.origin, dev=found.dev) for found in source.found}
    origins |= {LABEL: "paired"} if LABEL in kept else {}
    # What is not set where this command runs is known from the record alone; what has no mark is no secret.
    origins |= {label: "not set here" for label, use in kept.items() if label not in origins and use.mark}
    known = {label: kept[label] for label in origins if label in kept}
    watch = Watch(known, horizon(provider_of(settings)), record.seen_us, now_us)
    for label, origin in origins.items():
        use = kept.get(label)
        yield {
            "source": settings.name,
            "secret": label,
            "from": origin,
            "last_used": moment(use.last_us) if use is not None and use.last_us else None,
            "uses": 0 if use is None else use.count,
            "watched_since": None if use is None else moment(use.since_us),
            "verdict": verdict(label, watch, alone=len(origins) == 1),
        }


def _origin(text: str, *, dev: bool) -> str:
    return "dev" if dev else text


def verdict(label: str, watch: Watch, *, alone: bool) -> str:
    """Say whether a secret can be removed. Pure.

    Silence counts from its last use, or from when it began to be watched if that is later, up to when an edge last
    looked; and only if another secret of the source was in use meanwhile, as otherwise nothing came at all.
    """
    use = watch.known.get(label)
    if alone:
        return "the only one: keep it"
    if use is None:
        return "not watched yet"
    quiet_us = max(use.last_us, use.since_us)
    silent, limit = max(watch.seen_us - quiet_us, 0) / 1e6, span(watch.horizon)
    if silent <= watch.horizon:
        return _too_soon(use, watch, quiet_us + int(watch.horizon * 1e6))
    unused = f"not used for {span(silent)}" if use.last_us else f"never used since {_when(use.since_us)}"
    if not any(other.last_us > quiet_us for name, other in watch.known.items() if name != label):
        return f"{unused}, and neither is any other: nothing tells yet"
    longer = f"{unused}, longer than its provider retries and redelivers ({limit})"
    return f"{longer}: it can be removed" if use.last_us else f"{longer}: it can go, unless it is yet to be used"


def _too_soon(use: Use, watch: Watch, until_us: int) -> str:
    if not use.last_us:
        return (
            f"never used since {_when(use.since_us)}, when its record began: too short to tell before {_when(until_us)}"
        )
    watched = f", watched without a gap since {_when(use.since_us)}" if use.since_us > use.last_us else ""
    return f"used {span(max(watch.now_us - use.last_us, 0) / 1e6)} ago{watched}: keep it until {_when(until_us)}"


def _when(micros: int) -> str:
    return (moment(micros) or "")[:16].replace("T", " ") + "Z"
