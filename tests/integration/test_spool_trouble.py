"""The spool when something is wrong: order through failures, logs that take little or never, clocks and slow bodies."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import TooLargeError, Unavailable
from gateway.keep.sqlite.options import wall_us
from tests.edge import DecidedLog
from tests.kafka_simulation import Fate, SimulatedCluster
from tests.log_builders import make_event, until
from tests.spool_rig import NEVER, SOON, ids_in, keyed, log_on_kafka, opened, relay_into, relaying, set_primary


@pytest.fixture
def primary() -> DecidedLog:
    return DecidedLog()


async def test_events_without_an_ordering_key_go_direct_whatever_waits(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(make_event("evt_1", key="evt_1"), *keyed("evt_2"))
    primary.refuses = None

    async with opened(tmp_path, primary) as rig:
        await rig.append(make_event("evt_3", key="evt_3"), make_event("evt_1", key="evt_1"))

        assert rig.in_log() == ["evt_3", "evt_1"]


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.ACK_LOST])
async def test_the_relay_keeps_the_order_of_a_key_through_a_batch_that_fails(
    tmp_path: Path, primary: DecidedLog, fate: Fate
) -> None:
    primary.refuses = "log_down"
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster, batch_bytes=100) as log, opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1", "evt_2", "evt_3"))
        cluster.fates = [fate]

        await relay_into(rig, log)

    written = ids_in(cluster)
    assert written[-3:] == ["evt_1", "evt_2", "evt_3"]
    assert set(written[:-3]) <= {"evt_1"}, "a copy of what was written without an answer"


async def test_what_fails_in_the_log_takes_what_waits_behind_it_into_the_spool_in_order(
    tmp_path: Path, primary: DecidedLog
) -> None:
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster, batch_bytes=100) as log, opened(tmp_path, primary) as rig:
        set_primary(rig, log)
        cluster.fates = [Fate.REFUSED]

        await rig.append(*keyed("evt_1", "evt_2"))

        assert rig.spooled() == ["evt_1", "evt_2"]
        assert ids_in(cluster) == []


async def test_the_relay_passes_a_log_whose_buffer_is_smaller_than_what_waits(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.refuses = "log_down"
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster, max_queued_events=2) as log, opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1", "evt_2", "evt_3", "evt_4", "evt_5"))

        await relay_into(rig, log)

    assert ids_in(cluster) == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]


async def test_an_event_too_large_for_the_log_is_not_spooled_behind_others(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with log_on_kafka(SimulatedCluster()) as log, opened(tmp_path, primary, check=log.check) as rig:
        await rig.append(*keyed("evt_1"))
        free = make_event("evt_free", key="")

        with pytest.raises(TooLargeError):
            rig.spool.append([free, make_event("evt_2", body=b"x" * 5000)])

        assert rig.spooled() == ["evt_1"]


async def test_a_relay_that_meets_what_the_log_cannot_take_stays_there_and_says_why(
    tmp_path: Path, primary: DecidedLog, caplog: pytest.LogCaptureFixture
) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"), make_event("evt_2", key=""))
        primary.refuses, primary.raises = None, KeyError("acme")
        task = asyncio.create_task(rig.spool.relay())
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            await until(lambda: caplog.records, "the complaint")

        assert [vars(record)["cause"] for record in caplog.records] == ["KeyError"]
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_relay_that_cannot_read_the_spool_says_so_and_goes_on(
    tmp_path: Path, primary: DecidedLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.receive.relay._STUCK_PAUSE", 0.01)
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"))
        primary.refuses = None
        reader: Any = rig.spool._waiting
        monkeypatch.setattr(reader._reader, "read_after", lambda *_: 1 / 0)
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: caplog.records, "the complaint")
                monkeypatch.undo()
                await until(lambda: rig.in_log() == ["evt_1"], "the relay")

        assert vars(caplog.records[0])["cause"] == "ZeroDivisionError"


async def test_the_log_is_given_less_time_when_the_body_took_long(tmp_path: Path, primary: DecidedLog) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary, patience=NEVER) as rig:
        slow = make_event("evt_1", received_us=wall_us() - int(2 * NEVER * 1e6))
        async with asyncio.timeout(20):
            await rig.append(slow)

        assert rig.spooled() == ["evt_1"]
        primary.store()


async def test_a_clock_that_was_set_back_gives_the_log_no_more_time(tmp_path: Path, primary: DecidedLog) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary, patience=SOON) as rig:
        async with asyncio.timeout(20):
            await rig.append(make_event("evt_1", received_us=wall_us() + int(NEVER * 1e6)))

        assert rig.spooled() == ["evt_1"]
        primary.store()


async def test_an_outcome_that_the_log_does_not_know_is_not_told_as_not_written(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary) as rig:
        await rig.spool._spool.close()
        (future,) = rig.spool.append(keyed("evt_1"))
        primary.fail(Unavailable("log_down", written=None))

        with pytest.raises(Unavailable) as refused:
            await future

        assert refused.value.written is None
