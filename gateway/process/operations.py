"""What may be asked of a running process over its control socket: by the supervisor, and by the commands."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, Protocol

from prometheus_client import CollectorRegistry

from gateway.admin.health import OK, with_sources
from gateway.admin.metrics import text
from gateway.handle.pump import Worker
from gateway.keep.ports import DeadFilter, DeadReason, EventLog, Filter, Parking, Pausing, Replay
from gateway.receive.pairing import Pairings
from gateway.receive.readmission import Readmission

Operation = Callable[..., Any]

_PROGRESS_EVERY = 0.2
# A replay that stands still (paused, or slow by its rate) says so, or the caller would take it for dead.
_HEARTBEAT_TICKS = 25


class RouterState(Protocol):
    """What a router keeps, as far as commands change it."""

    @property
    def parking(self) -> Parking:
        """Its retries and dead letters."""
        ...

    @property
    def pausing(self) -> Pausing:
        """Whether it is paused."""
        ...


def of_edge(
    log: EventLog, registry: CollectorRegistry, pairings: Pairings, readmission: Readmission
) -> Mapping[str, Operation]:
    """Return the edge's operations."""

    async def health() -> str:
        found = log.health()
        state = found.reason or (OK if found.writable else "the log takes no appends")
        return with_sources(state, found.lacking, found.hampered)

    async def pair(source: str, seconds: float | None = None) -> Mapping[str, Any]:
        """Open a source for so many seconds, with 0 close it, without any leave it; return its state."""
        if seconds:
            pairings.open(source, seconds)
        elif seconds is not None:
            pairings.close(source)
        return pairings.state(source)

    def readmit(source: str, ids: list[str], *, dry_run: bool = False) -> AsyncIterator[Any]:
        return readmission.run(source, ids, dry_run=dry_run)

    return {**of_process(registry), "health": health, "pair": pair, "readmit": readmit}


def of_worker(
    worker: Worker, state: RouterState, registry: CollectorRegistry, count: Callable[[Filter], tuple[int, int]]
) -> Mapping[str, Operation]:
    """Return the operations of one router's worker.

    Args:
        worker: what runs the handlers.
        state: what it keeps.
        registry: its metrics.
        count: returns how many stored events fit a filter, and the log's last offset; called in a thread.
    """

    async def replay(id: str, **arguments: Any) -> AsyncIterator[Any]:  # noqa: A002 - the wire's word
        where, options = replay_arguments(**arguments)
        total, end = await asyncio.to_thread(count, where)
        await worker.replay(Replay(id=id, where=where, upto={0: end}, total=total, **options))
        async for progress in _followed(worker, id, total):
            yield progress

    async def pause() -> str:
        await worker.pause()
        return state.pausing.paused()

    async def resume() -> str:
        await worker.resume()
        return state.pausing.paused()

    return {
        **of_process(registry),
        **of_state(state),
        "pause": pause,
        "resume": resume,
        "replay": replay,
    }


def of_state(state: RouterState) -> Mapping[str, Operation]:
    """Return what can be asked of a router's state, its worker running or not."""

    async def dead_retry(**chosen: Any) -> int:
        return await state.parking.retry_dead(_dead(**chosen))

    async def dead_purge(**chosen: Any) -> int:
        return await state.parking.purge_dead(_dead(**chosen))

    async def pause() -> str:
        await state.pausing.set_paused("operator")
        return state.pausing.paused()

    async def resume() -> str:
        await state.pausing.set_paused("")
        return state.pausing.paused()

    return {"dead_retry": dead_retry, "dead_purge": dead_purge, "pause": pause, "resume": resume}


def replay_arguments(  # noqa: PLR0913 - the options of the command, by name
    *,
    source: str | None = None,
    type: str | None = None,  # noqa: A002 - the field's name
    key: str | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
    handler: str | None = None,
    mode: Literal["missing", "force"] = "missing",
    new_keys: bool = False,
    rate: float | None = None,
) -> tuple[Filter, dict[str, Any]]:
    """Split what `gateway replay` asks into which events, and how."""
    where = Filter(source=source, type=type, key=key, since_us=since_us, until_us=until_us)
    return where, {"handler": handler, "mode": mode, "new_keys": new_keys, "rate": rate}


def of_process(registry: CollectorRegistry) -> Mapping[str, Operation]:
    """Return what can be asked of every process."""

    async def ping() -> dict[str, int]:
        return {"pid": os.getpid()}

    async def metrics() -> str:
        return text(registry).decode()

    async def health() -> str:
        return "ok"

    return {"ping": ping, "metrics": metrics, "health": health}


def _dead(
    *,
    ids: list[int] | None = None,
    handler: str | None = None,
    source: str | None = None,
    reason: DeadReason | None = None,
) -> DeadFilter:
    return DeadFilter(ids=tuple(ids or ()), handler=handler, reason=reason, events=Filter(source=source))


async def _followed(worker: Worker, replay_id: str, total: int) -> AsyncIterator[dict[str, Any]]:
    """Yield the replay's progress until it is done; its last state comes last."""
    handed, silent = -1, 0
    while True:
        running = next((replay for replay in worker.replays() if replay.id == replay_id), None)
        if running is None:
            yield {"id": replay_id, "state": "done", "handed": total, "total": total}
            return
        silent += 1
        if running.handed != handed or silent == _HEARTBEAT_TICKS:
            handed, silent = running.handed, 0
            yield {"id": replay_id, "state": running.state, "handed": handed, "total": total}
        await asyncio.sleep(_PROGRESS_EVERY)
