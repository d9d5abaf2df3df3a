"""A spool for tests, in front of a log whose outcomes the test decides, or of one on a simulated cluster."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.core.event import Event
from gateway.keep.kafka.keeping import KeeperTimes
from gateway.keep.kafka.lanes import LaneOptions
from gateway.keep.kafka.log import Destination, KafkaLog, KafkaLogOptions
from gateway.keep.kafka.seen import Seen
from gateway.keep.ports import Appended, EventLog
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME
from gateway.keep.sqlite.spooled import SpooledRows
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from gateway.receive.relay import Primary
from gateway.receive.spool import Spool
from tests.edge import DecidedLog
from tests.kafka_simulation import SimulatedCluster
from tests.log_builders import make_event, sqlite_log, until

SOON, NEVER = 0.01, 3600.0


class Rig:
    """A spool, the log it relays into, and the rows that wait."""

    def __init__(self, spool: Spool, primary: DecidedLog, state: SqliteState, reader: SqliteReader) -> None:
        self.spool = spool
        self.primary = primary
        self.state = state
        self.reader = reader

    def spooled(self) -> list[str]:
        return [stored.event.id for stored in self.reader.read_after(0, 10_000, 2**30) if stored.event is not None]

    def in_log(self) -> list[str]:
        return [event.id for event in self.primary.stored]

    async def append(self, *events: Event) -> list[Appended]:
        return list(await asyncio.gather(*self.spool.append(events)))


@asynccontextmanager
async def opened(
    folder: Path,
    primary: DecidedLog,
    *,
    patience: float = NEVER,
    spool: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> AsyncIterator[Rig]:
    async with sqlite_log(folder, **spool) as log:
        reader = SqliteReader(folder / FILE_NAME)
        path = folder / "state" / "relay.db"
        path.parent.mkdir(exist_ok=True)
        register(path, "relay", log.reader.log_id(), 0)
        state = SqliteState.open(path, router="relay", log=LogPlace(log.reader.log_id(), log.reader.last_seq()))
        waiting = state.subscribe(SqliteReader(folder / FILE_NAME))
        old = (await waiting.backlog()).events
        rows = SpooledRows(folder, SqliteReader(folder / FILE_NAME))
        front = Primary(log=primary, patience={"acme": patience, "other": patience}, **options)
        made = Spool(front, log.log, waiting, rows, old=old)
        try:
            yield Rig(made, primary, state, reader)
        finally:
            await made.close()
            await rows.close()
            await state.close()
            reader.close()


@asynccontextmanager
async def log_on_kafka(cluster: SimulatedCluster, *, seen: Seen | None = None, **lanes: Any) -> AsyncIterator[KafkaLog]:
    """Open the log on a simulated cluster as the edge does that has a spool."""
    seen = Seen(1000) if seen is None else seen
    destinations = {
        source: Destination(topic=topic, max_message_bytes=2000)
        for source, topic in {"acme": "events", "other": "others"}.items()
    }
    options = KafkaLogOptions(
        destinations=destinations,
        lanes=LaneOptions(in_order=True, probe_every=0.01, **lanes),
        times=KeeperTimes(tick=0.01, look=0.01),
    )
    log = KafkaLog(options, cluster.driver, seen, seen.remember)
    try:
        assert await log.connected(20)
        yield log
    finally:
        await log.close()


def set_primary(rig: Rig, log: EventLog, **options: Any) -> None:
    """Put another log in front of the spool."""
    rig.spool._primary = rig.spool._relay._primary = replace(rig.spool._primary, log=log, **options)


async def relay_into(rig: Rig, log: EventLog) -> None:
    """Relay all that waits into `log`."""
    set_primary(rig, log)
    async with relaying(rig):
        await until(lambda: not rig.spool._lanes, "the relay's end")


def ids_in(cluster: SimulatedCluster, topic: str = "events") -> list[str]:
    records = [record for number in range(cluster.topics[topic]) for record in cluster.written[topic, number]]
    return [dict(record.headers)["ce_id"].decode() for record in records]


@asynccontextmanager
async def relaying(rig: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(rig.spool.relay())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def keyed(*ids: str, key: str = "customer-1") -> Sequence[Event]:
    return [make_event(name, key=key) for name in ids]
