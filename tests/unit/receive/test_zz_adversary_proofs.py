"""Proofs against the tree as found."""
import asyncio, logging
from pathlib import Path
import pytest
from gateway.core.errors import TooLargeError, Unavailable
from gateway.keep.envelope import Record
from gateway.keep.kafka.lanes import LaneOptions, Lanes
from gateway.keep.kafka.log import Destination, KafkaLog, KafkaLogOptions
from gateway.keep.kafka.seen import Seen
from tests.edge import DecidedLog
from tests.integration.test_spool import opened, relaying, keyed, SOON, NEVER
from tests.kafka_simulation import Fate, SimulatedCluster
from tests.log_builders import make_event, until
from tests.unit.keep.test_kafka_lanes import Rig, Waiting, keys_of_two_partitions

def kafka_log(cluster, **lanes):
    seen = Seen(1000)
    limit = lanes.pop("limit", 10**6)
    options = KafkaLogOptions(destinations={"acme": Destination(topic="events", max_message_bytes=limit)}, lanes=LaneOptions(**lanes))
    return KafkaLog(options, cluster.driver, seen, seen.remember)

async def test_breaker_opened_by_an_append_is_told(caplog):
    rig = Rig(); await rig.attach()
    rig.cluster.fates = [Fate.HELD]
    rig.put("1"); await until(lambda: rig.cluster.held)
    (behind,) = rig.put("2")
    rig.clock.now += 5.1
    with pytest.raises(Unavailable):
        rig.put("3")
    rig.lanes.tick()
    assert behind.outcomes == ["not written"]
    assert "kafka.breaker_opened" in caplog.text

async def test_pending_behind_given_up():
    rig = Rig(); await rig.attach()
    rig.cluster.fates = [Fate.GIVEN_UP]
    one, other = keys_of_two_partitions(rig)
    (a,) = rig.put("1", key=one)
    await asyncio.sleep(0)
    (b,) = rig.put("2", key=one)
    (c,) = rig.put("3", key=other)
    await until(lambda: c.outcomes)
    assert rig.lanes.unacknowledged_since is None
    await asyncio.sleep(0.5)
    assert b.outcomes, "never settled"

async def test_relay_keeps_order(tmp_path):
    cluster = SimulatedCluster()
    log = kafka_log(cluster, batch_bytes=100)
    assert await log.connected(5)
    down = DecidedLog(); down.refuses = "log_down"
    async with opened(tmp_path, down) as rig:
        await rig.append(*keyed("evt_1", "evt_2", "evt_3"))
        rig.spool._primary = log
        cluster.fates = [Fate.REFUSED]
        async with relaying(rig):
            await until(lambda: not rig.spool._lanes, "relay")
    ids = [dict(r.headers)["ce_id"] for n in (0, 1) for r in cluster.written["events", n]]
    await log.close()
    assert ids == [b"evt_1", b"evt_2", b"evt_3"]

async def test_oversized_behind(tmp_path):
    cluster = SimulatedCluster()
    log = kafka_log(cluster, limit=2000)
    assert await log.connected(5)
    down = DecidedLog(); down.refuses = "log_down"
    async with opened(tmp_path, down) as rig:
        await rig.append(*keyed("evt_1"))
        rig.spool._primary = log
        with pytest.raises(TooLargeError):
            rig.spool.append([make_event("evt_2", body=b"x" * 5000)])
    await log.close()

async def test_relay_unknown_source(tmp_path, caplog):
    cluster = SimulatedCluster()
    log = kafka_log(cluster)
    assert await log.connected(5)
    down = DecidedLog(); down.refuses = "log_down"
    async with opened(tmp_path, down) as rig:
        await rig.append(make_event("evt_1", source="gone")) if False else None
        rig.spool._enter([__import__("gateway.receive.spool").receive.spool._Append(make_event("evt_1", source="gone"), asyncio.get_running_loop().create_future())])
        rig.spool._primary = log
        task = asyncio.create_task(rig.spool.relay())
        await asyncio.sleep(1)
        print("RELAY DONE?", task.done(), task)
        assert not task.done()
    await log.close()

async def test_relay_small_budget(tmp_path, caplog):
    cluster = SimulatedCluster()
    log = kafka_log(cluster, max_queued_events=2)
    assert await log.connected(5)
    down = DecidedLog(); down.refuses = "log_down"
    async with opened(tmp_path, down) as rig:
        await rig.append(*keyed("evt_1", "evt_2", "evt_3"))
        rig.spool._primary = log
        async with relaying(rig):
            await until(lambda: not rig.spool._lanes, "relay", deadline=5)
    await log.close()

async def test_spool_full_while_kafka_slow(tmp_path):
    primary = DecidedLog(automatic=False)
    async with opened(tmp_path, primary, patience=SOON) as rig:
        await rig.spool._spool.close()
        (future,) = rig.spool.append(keyed("evt_1"))
        await asyncio.sleep(0.2)
        assert not future.done(), "given up although the log may still take it"
        primary.store()
        await future
