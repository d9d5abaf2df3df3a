"""The edge's spool put together: an embedded log of its own, and what relays it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.config.settings import Settings
from gateway.core.source import Source
from gateway.keep.kafka.log import KafkaLog
from gateway.keep.sqlite.connection import FileLock
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER
from gateway.keep.sqlite.spooled import SpooledRows
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from gateway.receive.relay import Primary
from gateway.receive.spool import Spool
from gateway.wiring.running import ended

# Of a request's deadline: what is left must be enough for a commit of the spool (design 6.17).
_PATIENCE = 0.6
_RELAY = "relay"
# What was relayed is kept for a little while, so that removing it does not disturb what is being written.
_KEPT_SECONDS = 60.0


async def open_spools(
    settings: Settings,
    place: tuple[int, int],
    compiled: Mapping[str, Source],
    primary: KafkaLog,
    on_poison: Callable[[], None],
    held: AsyncExitStack,
) -> Sequence[Spool]:
    """Open this edge's spool and begin to relay it; after it those that edges left who are no more.

    Args:
        settings: of the gateway.
        place: this edge's number and the number of edges, from 1 on.
        compiled: the sources.
        primary: the log in front of the spool.
        on_poison: called when what is on the disk is unknown.
        held: ends it all.

    Raises:
        DependencyError: another gateway has the folder.
    """
    assert settings.log.kafka is not None  # noqa: S101 - a spool is configured
    assert settings.log.kafka.spool is not None  # noqa: S101 - as above
    root, (number, edges) = settings.log.kafka.spool, place
    folders = [root / str(number)]
    if number == 1:
        folders += [root / str(left) for left in sorted(_numbers(root)) if left > edges]
    return [await _open(settings, folder, compiled, primary, on_poison, held) for folder in folders]


def _numbers(root: Path) -> list[int]:
    return [int(path.name) for path in root.glob("*") if path.name.isdecimal()]


async def _open(
    settings: Settings,
    folder: Path,
    compiled: Mapping[str, Source],
    primary: KafkaLog,
    on_poison: Callable[[], None],
    held: AsyncExitStack,
) -> Spool:
    (folder / STATE_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    held.enter_context(FileLock(folder / "owner"))
    woken: list[Callable[[], None]] = []
    log = SqliteLog(
        _options(settings, folder, compiled), wake=lambda: woken[0]() if woken else None, on_poison=on_poison
    )
    held.push_async_callback(log.close)
    reader = SqliteReader(folder / FILE_NAME)
    path = folder / STATE_FOLDER / f"{_RELAY}.db"
    register(path, _RELAY, reader.log_id(), 0)
    end = LogPlace(reader.log_id(), reader.last_seq())
    state = SqliteState.open(path, router=_RELAY, log=end, on_poison=on_poison)
    held.push_async_callback(state.close)
    waiting = state.subscribe(reader)
    woken.append(waiting.wake)
    patience = {name: source.deadline * _PATIENCE for name, source in compiled.items()}
    old = (await waiting.backlog()).events
    rows = SpooledRows(folder, SqliteReader(folder / FILE_NAME))
    held.push_async_callback(rows.close)
    front = Primary(log=primary, patience=patience, check=primary.check, place=primary.partition)
    spool = Spool(front, log, waiting, rows, old=old)
    held.push_async_callback(spool.close)
    held.push_async_callback(ended, asyncio.create_task(spool.relay()))
    return spool


def _options(settings: Settings, folder: Path, compiled: Mapping[str, Source]) -> LogOptions:
    log = settings.log
    return LogOptions(
        folder=folder,
        retention=_KEPT_SECONDS,
        max_bytes=log.max_bytes,
        keep_unhandled=True,
        min_free=log.min_free,
        max_queued_events=log.max_queued_events,
        max_queued_bytes=log.max_queued_bytes,
        windows={name: source.dedupe_window for name, source in compiled.items()},
    )
