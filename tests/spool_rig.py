"""A spool for tests, in front of a log whose outcomes the test decides, or of one on a simulated cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.core.event import Event
from gateway.keep.kafka.lanes import LaneOptions
from gateway.keep.kafka.log import Destination, KafkaLog, KafkaLogOptions
from gateway.keep.kafka.seen import Seen
from gateway.keep.ports import Appended, EventLog
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
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
async def opened(folder: Path, primary: DecidedLog, *, patience: float = NEVER, **options: Any) -> AsyncIterator[Rig]:
    async with sqlite_log(folder) as log:
        reader = SqliteReader(folder / FILE_NAME)
        path = folder / "state" / "relay.db"
        path.parent.mkdir(exist_ok=True)
        register(path, "relay", log.reader.log_id(), 0)
        state = SqliteState.open(path, router="relay", log=LogPlace(log.reader.log_id(), log.reader.last_seq()))
        waiting = state.subscribe(SqliteReader(folder / FILE_NAME))
        old = (await waiting.backlog()).events
        spool = Spool(primary, log.log, waiting, patience={"acme": patience}, old=old, **options)
        try:
            yield Rig(spool, primary, state, reader)
        finally:
            await spool.close()
            await state.close()
            reader.close()


@asynccontextmanager
async def log_on_kafka(cluster: SimulatedCluster, **lanes: Any) -> AsyncIterator[KafkaLog]:
    """Open the log on a simulated cluster as the edge does that has a spool."""
    seen = Seen(1000)
    destinations = {"acme": Destination(topic="events", max_message_bytes=2000)}
    options = KafkaLogOptions(destinations=destinations, lanes=LaneOptions(in_order=True, **lanes))
    log = KafkaLog(options, cluster.driver, seen, seen.remember)
    try:
        assert await log.connected(20)
        yield log
    finally:
        await log.close()


async def relay_into(rig: Rig, log: EventLog) -> None:
    """Relay all that waits into `log`."""
    rig.spool._primary = log
    async with relaying(rig):
        await until(lambda: not rig.spool._lanes, "the relay's end")


def ids_in(cluster: SimulatedCluster) -> list[str]:
    records = [record for number in range(cluster.topics["events"]) for record in cluster.written["events", number]]
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
