"""What the commands look into, and change, on the embedded engine."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.handle.meter import RouterSample
from gateway.keep.ports import Replay
from gateway.keep.sqlite import backup as sqlite_backup
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from gateway.keep.sqlite.connection import FileLock
from gateway.keep.sqlite.state import LogPlace, SqliteState
from gateway.process import operations
from gateway.process.control import ControlClient
from gateway.process.runtime import control_path
from gateway.wiring.embedded import count, log_path, reading, state_names, state_path

_PING_DEADLINE = 3.0
# A slow replay says nothing between two events; a worker that dies closes the connection at once.
_LONGEST_SILENCE = 600.0


def catalogue(settings: Settings) -> SqliteCatalogue:
    """Return what is stored, to be read beside a running gateway.

    Raises:
        DependencyError: there is no log yet.
    """
    return SqliteCatalogue(settings.log.path)


def known_routers(settings: Settings) -> Sequence[str]:
    """Return the routers that have state, configured or not."""
    return state_names(settings)


def forget_router(settings: Settings, router: str) -> None:
    """Remove all state of a router that does not run.

    Raises:
        DependencyError: its worker holds the file.
    """
    path = state_path(settings.log, router)
    with FileLock(path):
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)


def router_status(settings: Settings, router: str) -> RouterSample:
    """Return a router's numbers, read from its files."""
    kept = state_reader.summary(state_path(settings.log, router))
    sample = RouterSample(
        backlog_events=0,
        oldest_unprocessed_seconds=0.0,
        retries_parked=kept.parked,
        dead_letters=kept.dead,
        gap_events=0,
        paused=kept.paused,
    )
    if not log_path(settings.log).exists() or kept.cursor is None:
        return sample
    with reading(settings) as reader:
        oldest_us = reader.oldest_received_after(kept.cursor)
        return replace(
            sample,
            backlog_events=reader.count_after(kept.cursor),
            oldest_unprocessed_seconds=0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6),
            gap_events=reader.gap_events(router),
        )


def is_running(settings: Settings, router: str) -> bool:
    """Return whether the router's worker answers."""
    return ControlClient(control_path(settings.log.path, f"worker:{router}"), deadline=_PING_DEADLINE).answers()


def operate(settings: Settings, router: str, op: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Run one operation through the router's worker, or with none running by taking its file's lock.

    Raises:
        DependencyError: the worker does not answer, the file is held, or the router was never registered.
        GatewayError: it was refused, with the reason.
    """
    if is_running(settings, router):
        worker = ControlClient(control_path(settings.log.path, f"worker:{router}"), deadline=_LONGEST_SILENCE)
        yield from worker.follow(op, **arguments)
    else:
        yield "result", asyncio.run(_operated(settings, router, op, arguments))


async def _operated(settings: Settings, router: str, op: str, arguments: Mapping[str, Any]) -> Any:
    if not state_path(settings.log, router).exists():
        raise DependencyError(f"router {router} has no state yet; it is made when `gateway run` first starts it")
    with reading(settings) as reader:
        place = LogPlace(reader.log_id(), reader.last_seq())
    state = SqliteState.open(state_path(settings.log, router), router=router, log=place)
    try:
        asked = partial(_begin_replay, settings, state, place) if op == "replay" else operations.of_state(state)[op]
        answer = await asked(**arguments)
        if not state.blame.unclean():  # else the next worker would be cautious for no reason
            await state.blame.clean_exit()
        return answer
    finally:
        await state.close()


async def _begin_replay(settings: Settings, state: SqliteState, place: LogPlace, **arguments: Any) -> dict[str, Any]:
    replay_id = str(arguments.pop("id"))
    where, options = operations.replay_arguments(**arguments)
    total, _ = count(settings, where)
    await state.replays.save(Replay(id=replay_id, where=where, upto={0: place.end}, total=total, **options))
    return {"id": replay_id, "state": "waiting", "handed": 0, "total": total}


def backup(settings: Settings, destination: Path) -> Iterator[tuple[str, int, int]]:
    """Copy log and state; yields each file's name, its pages copied, and its pages in all."""
    return sqlite_backup.backup(settings.log.path, destination)
