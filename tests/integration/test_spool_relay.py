"""The relay past what the log refuses: a missing topic, a dead or silent partition, an event or row that never fits."""

import asyncio
import logging
import zlib
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.core.errors import UnavailableReason
from gateway.core.event import Event
from gateway.keep.kafka.log import KafkaLog
from gateway.keep.kafka.seen import Seen
from tests.edge import DecidedLog, make_source, raw_request, running_edge
from tests.kafka_simulation import SimulatedCluster
from tests.log_builders import make_event, until
from tests.spool_rig import Rig, ids_in, keyed, log_on_kafka, opened, relaying, set_primary

# Keys of the two partitions of topic `events`.
EVEN, ODD = ((next(f"k{n}" for n in range(99) if zlib.crc32(f"k{n}".encode()) % 2 == odd)) for odd in (0, 1))

UNREADABLE = b'{"v":99}'


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.receive.relay._PAUSE", 0.01)


@pytest.fixture
def primary() -> DecidedLog:
    log = DecidedLog()
    log.refuses = "log_down"
    return log


def of_other(*ids: str) -> list[Event]:
    return [make_event(name, source="other") for name in ids]


def relay_to(rig: Rig, log: KafkaLog) -> None:
    set_primary(rig, log, place=log.partition)


def committed(rig: Rig) -> int:
    return rig.spool._waiting.committed().get(0, 0)


def spoil(folder: Path, offset: int) -> None:
    """Make a row unreadable."""
    connection = apsw.Connection(str(folder / "events.db"))
    connection.set_busy_timeout(20_000)  # the log's own writer may be at it
    connection.execute("update event set head = ? where seq = ?", (UNREADABLE, offset))
    connection.close()


def stuck(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == "spool.stuck"]


async def test_a_missing_topic_holds_back_its_own_source_alone(tmp_path: Path, primary: DecidedLog) -> None:
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        await rig.append(*of_other("o1"), *keyed("a1"), *of_other("o2"), *keyed("a2"))
        relay_to(rig, log)

        async with relaying(rig):
            await until(lambda: ids_in(cluster) == ["a1", "a2"], "the relay of the other source")
            await until(lambda: rig.spool.held == 2, "the count of what is held")
            assert committed(rig) == 0
            assert rig.spool.health().lacking == ("other",)
            cluster.topics["others"] = 3
            await until(lambda: committed(rig) == 4, "the relay's end")
            assert rig.spool.health().lacking == ()

        assert ids_in(cluster, "others") == ["o1", "o2"]
        assert rig.spool.held == 0


async def test_a_dead_partition_holds_back_its_own_events_alone_in_order(tmp_path: Path, primary: DecidedLog) -> None:
    cluster = SimulatedCluster()
    cluster.down.add(("events", 0))
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", key=EVEN), *keyed("o1", key=ODD), *keyed("e2", key=EVEN), *keyed("o2", key=ODD))
        relay_to(rig, log)

        async with relaying(rig):
            await until(lambda: ids_in(cluster) == ["o1", "o2"], "the relay past the dead partition")
            await rig.append(*keyed("e3", key=EVEN))
            await until(lambda: rig.spool.held == 3, "the holding of what comes later")
            await until(log._lanes.refusing, "the breaker")
            await rig.append(*keyed("o3", key=ODD))
            await until(lambda: log.health().hampered == ("acme",), "the word of it")
            cluster.down.clear()
            await until(lambda: not rig.spool._lanes, "the relay's end")

        assert ids_in(cluster) == ["e1", "e2", "e3", "o1", "o2", "o3"]
        assert log.health().hampered == ()


async def test_a_partition_that_does_not_answer_holds_back_no_other(
    tmp_path: Path, primary: DecidedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.receive.relay._PATIENCE", 0.05)
    cluster = SimulatedCluster()
    cluster.silent.add(("events", 0))
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", key=EVEN), *keyed("o1", key=ODD))
        relay_to(rig, log)

        async with relaying(rig):
            await until(lambda: ids_in(cluster) == ["o1"], "the relay past the silent partition")
            await rig.append(*keyed("e2", key=EVEN), *keyed("o2", key=ODD))
            await until(lambda: ids_in(cluster) == ["o1", "o2"], "the relay of what comes later")
            cluster.release()
            await until(lambda: committed(rig) == 4, "the relay's end")

        assert ids_in(cluster) == ["e1", "e2", "o1", "o2"]


async def test_what_is_on_its_way_is_not_offered_again(
    tmp_path: Path, primary: DecidedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.receive.relay._PATIENCE", 0.01)
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1"))
        primary.refuses, primary.automatic = None, False
        async with relaying(rig):
            await until(lambda: primary.undecided, "the first try")
            primary.refuses = "log_down"
            await rig.append(*of_other("o1"))
            primary.refuses = None
            await until(lambda: "o1" in [event.id for event, _ in primary.undecided], "the next turn")
            assert [event.id for event, _ in primary.undecided] == ["e1", "o1"]
            primary.store()
            await until(lambda: committed(rig) == 2, "the relay's end")


async def test_events_whose_partition_was_unknown_keep_those_of_their_source_behind_them(
    tmp_path: Path, primary: DecidedLog
) -> None:
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        await rig.append(*of_other("o1", "o2", "o3"))
        relay_to(rig, log)

        async with relaying(rig):
            await until(lambda: rig.spool.held == 3, "the holding")
            cluster.down.update({("others", number) for number in range(3)})
            cluster.topics["others"] = 3
            await until(lambda: not log.missing, "the sight of the topic")
            await rig.append(*of_other("o4"))
            await until(lambda: rig.spool.held == 4, "the holding of a later one")
            cluster.down.clear()
            await until(lambda: committed(rig) == 4, "the relay's end")

        assert ids_in(cluster, "others") == ["o1", "o2", "o3", "o4"]


async def test_after_a_restart_what_lay_beyond_the_held_one_is_offered_again_and_stored_once(
    tmp_path: Path, primary: DecidedLog
) -> None:
    cluster, seen = SimulatedCluster(), Seen(100)
    async with log_on_kafka(cluster, seen=seen) as log, opened(tmp_path, primary) as rig:
        await rig.append(*keyed("a1"), *of_other("o1"), *keyed("a2"))
        relay_to(rig, log)
        async with relaying(rig):
            await until(lambda: ids_in(cluster) == ["a1", "a2"], "the relay")
            await until(lambda: committed(rig) == 1, "the noted position")

    async with log_on_kafka(cluster, seen=seen) as log, opened(tmp_path, primary) as rig:
        relay_to(rig, log)
        async with relaying(rig):
            await until(lambda: not rig.spool._old and rig.spool.held == 1, "the second relay")
            (copy,) = await rig.append(*keyed("a2"))
            cluster.topics["others"] = 3
            await until(lambda: committed(rig) == 3, "the relay's end")

    assert copy.duplicate
    assert (ids_in(cluster), ids_in(cluster, "others")) == (["a1", "a2"], ["o1"])


async def test_a_restart_keeps_later_events_of_a_key_behind_the_held_one(tmp_path: Path, primary: DecidedLog) -> None:
    cluster = SimulatedCluster()
    cluster.down.add(("events", 0))
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", key=EVEN))

    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        relay_to(rig, log)
        async with relaying(rig):
            await until(lambda: rig.spool.held == 1, "the reading of what was left")
            assert not rig.spool._old
            cluster.down.clear()
            await rig.append(*keyed("e2", key=EVEN))
            await until(lambda: not rig.spool._lanes, "the relay's end")

    assert ids_in(cluster) == ["e1", "e2"]


async def test_an_event_that_the_log_never_takes_holds_back_its_own_partition_alone(
    tmp_path: Path, primary: DecidedLog, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        large = make_event("e2", key=EVEN, body=b"x" * 5000)
        await rig.append(*keyed("e1", key=EVEN), large, *keyed("e3", key=EVEN), *keyed("o1", key=ODD))
        relay_to(rig, log)

        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: ids_in(cluster) == ["e1", "o1"], "what fits")
                await until(lambda: stuck(caplog), "the complaint")
                await rig.append(*keyed("e4", key=EVEN))
                await until(lambda: rig.spool.held == 3, "what waits behind it")
                await rig.append(*keyed("e5", key=EVEN))
                await until(lambda: rig.spool.held == 4, "what waits behind that")

        assert ids_in(cluster) == ["e1", "o1"]
        assert committed(rig) == 1
        assert [(vars(told)["source"], vars(told)["cause"]) for told in stuck(caplog)] == [("acme", "too_large")]


async def test_a_row_that_cannot_be_read_is_set_aside_as_it_is_and_counted(
    tmp_path: Path, primary: DecidedLog, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1"), make_event("e2", body=b"the exact body"), *keyed("e3"))
    spoil(tmp_path, 2)
    primary.refuses = None

    async with opened(tmp_path, primary) as rig:
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: committed(rig) == 3, "the relay past it")

        assert rig.in_log() == ["e1", "e3"]
        assert rig.spool.aside == 1
    assert (tmp_path / "set-aside" / "2.body").read_bytes() == b"the exact body"
    assert (tmp_path / "set-aside" / "2.head").read_bytes() == UNREADABLE
    assert [record.message for record in caplog.records] == ["spool.set_aside"]

    async with opened(tmp_path, primary) as rig:
        assert rig.spool.aside == 1, "counted after a restart, too"


async def test_a_held_row_that_becomes_unreadable_is_set_aside(tmp_path: Path, primary: DecidedLog) -> None:
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", "e2"))
        async with relaying(rig):
            await until(lambda: rig.spool.held == 2, "the holding")
        spoil(tmp_path, 1)
        primary.refuses = None
        async with relaying(rig):
            await until(lambda: committed(rig) == 2, "the relay past it")

    assert rig.in_log() == ["e2"]
    assert (tmp_path / "set-aside" / "1.head").exists()


async def test_a_row_that_cannot_be_set_aside_stays_and_others_go_on(
    tmp_path: Path, primary: DecidedLog, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1"), *keyed("e2"))
    spoil(tmp_path, 1)
    primary.refuses = None
    (tmp_path / "set-aside").write_text("not a folder")

    async with opened(tmp_path, primary) as rig:
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: rig.in_log() == ["e2"], "the relay past it")
                await until(lambda: caplog.records, "the complaint")
                assert committed(rig) == 0
                (tmp_path / "set-aside").unlink()
                await until(lambda: committed(rig) == 2, "the second try")

    assert (tmp_path / "set-aside" / "1.head").exists()


async def test_no_more_is_read_than_may_be_held(
    tmp_path: Path, primary: DecidedLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.receive.relay._HELD_MOST", 2)
    monkeypatch.setattr("gateway.receive.relay.AT_ONCE", 2)
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", "e2", "e3", "e4", "e5"))
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: caplog.records, "the complaint")
                assert rig.spool.held == 2
                primary.refuses = None
                await until(lambda: rig.in_log() == ["e1", "e2", "e3", "e4", "e5"], "the relay's end")


async def test_what_waits_is_counted_without_what_the_log_has_already(tmp_path: Path, primary: DecidedLog) -> None:
    cluster = SimulatedCluster()
    async with log_on_kafka(cluster) as log, opened(tmp_path, primary) as rig:
        await rig.append(*of_other("o1"), *keyed("a1", "a2"))
        relay_to(rig, log)

        async with relaying(rig):
            await until(lambda: ids_in(cluster) == ["a1", "a2"], "the relay")
            await until(lambda: rig.spool.backlog.events == 1, "the measure")
            assert rig.spool.backlog.oldest_seconds > 0


async def test_a_relay_survives_rows_that_cannot_be_read_again(
    tmp_path: Path, primary: DecidedLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1"))
        rows: Any = rig.spool._relay._rows
        monkeypatch.setattr(rows._reader, "read_each", lambda *_: 1 / 0)
        with caplog.at_level(logging.ERROR, "gateway.receive"):
            async with relaying(rig):
                await until(lambda: caplog.records, "the complaint")
                monkeypatch.undo()
                primary.refuses = None
                await until(lambda: rig.in_log() == ["e1"], "the relay")


async def test_a_spool_without_room_answers_as_soon_as_the_logs_patience_ends(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.refuses, primary.automatic = None, False
    async with opened(tmp_path, primary, patience=0.01, spool={"min_free": 2**62}) as rig:
        async with asyncio.timeout(20):
            (outcome,) = await asyncio.gather(*rig.spool.append(keyed("e1")), return_exceptions=True)

        assert (getattr(outcome, "reason", None), getattr(outcome, "written", 0)) == ("disk_full", None)
        assert rig.spooled() == []
        primary.store()


async def test_rows_are_read_by_their_offsets_alone_the_oldest_that_fit(tmp_path: Path, primary: DecidedLog) -> None:
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("e1", "e2", "e3", "e4"))

        assert [stored.position.offset for stored in rig.reader.read_each([2, 4], 2**20)] == [2, 4]
        assert [stored.position.offset for stored in rig.reader.read_each([2, 4], 1)] == [2]
        assert rig.reader.read_each([], 2**20) == []


@pytest.mark.parametrize("refuses", ["log_down", None], ids=["the log refuses", "the log is silent"])
async def test_with_no_room_in_the_spool_a_delivery_is_refused_by_its_deadline_for_want_of_it(
    tmp_path: Path, primary: DecidedLog, refuses: UnavailableReason | None
) -> None:
    primary.refuses, primary.automatic = refuses, False
    async with opened(tmp_path, primary, patience=0.6, spool={"min_free": 2**62}) as rig:
        log: Any = rig.spool
        async with running_edge(make_source(deadline=10.0), log=log) as edge:
            answer = await edge.ask(raw_request())

            assert (answer.status, answer.word) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert edge.counts["acme", "refused", "disk_full"] == 1, (
                "before the deadline, which has a reason of its own"
            )
        primary.store()
