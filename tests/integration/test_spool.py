"""The spool in front of a log whose outcomes the test decides, with the embedded log behind it."""

from pathlib import Path

import pytest

from gateway.core.errors import TooLargeError, Unavailable
from gateway.receive.spool import SPOOLING
from tests.edge import DecidedLog
from tests.log_builders import make_event, until
from tests.spool_rig import SOON, keyed, opened, relaying


@pytest.fixture
def primary() -> DecidedLog:
    return DecidedLog()


async def test_a_log_that_answers_leaves_the_spool_empty(tmp_path: Path, primary: DecidedLog) -> None:
    async with opened(tmp_path, primary) as rig:
        outcomes = await rig.append(*keyed("evt_1", "evt_2"))

        assert [outcome.duplicate for outcome in outcomes] == [False, False]
        assert rig.in_log() == ["evt_1", "evt_2"]
        assert rig.spooled() == []


async def test_what_the_log_refuses_is_durable_in_the_spool(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"))

        assert rig.spooled() == ["evt_1"]
        assert rig.in_log() == []


async def test_what_fails_in_the_log_is_spooled_and_answered(tmp_path: Path, primary: DecidedLog) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary) as rig:
        (future,) = rig.spool.append(keyed("evt_1"))
        primary.fail(Unavailable("log_down", written=None))

        assert not (await future).duplicate
        assert rig.spooled() == ["evt_1"]


async def test_a_log_that_does_not_answer_in_time_is_overtaken_by_the_spool(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary, patience=SOON) as rig:
        await rig.append(*keyed("evt_1"))

        assert rig.spooled() == ["evt_1"]
        primary.store()


async def test_a_late_answer_of_the_log_changes_nothing_for_the_sender(tmp_path: Path, primary: DecidedLog) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary, patience=SOON) as rig:
        await rig.append(*keyed("evt_1"))
        primary.store()
        primary.automatic = True

        async with relaying(rig):
            await until(lambda: not rig.spool._lanes, "the relay's end")

        assert rig.in_log() == ["evt_1"]


async def test_a_copy_of_a_spooled_event_is_a_duplicate(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        event = make_event("evt_1")
        await rig.append(event)

        (again,) = await rig.append(make_event("evt_1"))

        assert again.duplicate
        assert rig.spooled() == ["evt_1"]
        primary.refuses = None
        async with relaying(rig):
            await until(lambda: not rig.spool._lanes, "the lane's opening")


async def test_a_lane_with_spooled_events_takes_no_direct_appends_until_they_are_relayed(
    tmp_path: Path, primary: DecidedLog
) -> None:
    async with opened(tmp_path, primary) as rig:
        primary.refuses = "log_down"
        await rig.append(*keyed("evt_1"))
        primary.refuses = None

        await rig.append(*keyed("evt_2"))
        await rig.append(*keyed("evt_other", key="customer-2"), *keyed("evt_free", key=""))

        assert rig.in_log() == ["evt_other", "evt_free"]
        async with relaying(rig):
            await until(lambda: "evt_2" in rig.in_log(), "the relay")
            await until(lambda: not rig.spool._lanes, "the lane's opening")
            await rig.append(*keyed("evt_3"))
        assert [name for name in rig.in_log() if name in ("evt_1", "evt_2", "evt_3")] == ["evt_1", "evt_2", "evt_3"]
        assert "evt_3" not in rig.spooled()


async def test_what_an_earlier_process_left_is_relayed_before_any_keyed_event_goes_direct(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1", "evt_2"))
    primary.refuses = None

    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_3"), *keyed("evt_free", key=""))
        assert rig.in_log() == ["evt_free"]
        async with relaying(rig):
            await until(lambda: len(rig.in_log()) == 4, "the relay")

    assert rig.in_log() == ["evt_free", "evt_1", "evt_2", "evt_3"]


async def test_what_was_relayed_is_not_relayed_again_after_a_restart(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"))
        primary.refuses = None
        async with relaying(rig):
            await until(lambda: rig.state._subscription is not None and rig.state._subscription.committed()[0] == 1)

    fresh = DecidedLog()
    async with opened(tmp_path, fresh) as rig, relaying(rig):
        await rig.append(*keyed("evt_2"))

    assert rig.in_log() == ["evt_2"]


async def test_the_relay_goes_on_with_what_the_log_did_not_take(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"))
        primary.refuses = None
        primary.automatic = False
        async with relaying(rig):
            await until(lambda: primary.undecided, "the first try")
            primary.fail(Unavailable("log_down", written=None))
            primary.automatic = True
            await until(lambda: rig.in_log() == ["evt_1"], "the second try")


async def test_a_relay_that_ends_cancels_no_append(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.append(*keyed("evt_1"))
        primary.refuses = None
        primary.automatic = False
        async with relaying(rig):
            await until(lambda: primary.undecided, "the append")

        ((_, future),) = primary.undecided
        assert not future.cancelled()
        primary.store()


async def test_when_neither_takes_an_event_the_sender_is_told_so(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        await rig.spool._spool.close()

        with pytest.raises(Unavailable):
            rig.spool.append(keyed("evt_1"))


async def test_when_the_spool_fails_too_the_outcome_of_a_silent_log_stays_unknown(
    tmp_path: Path, primary: DecidedLog
) -> None:
    primary.automatic = False
    async with opened(tmp_path, primary, patience=SOON) as rig:
        await rig.spool._spool.close()
        (future,) = rig.spool.append(keyed("evt_1"))

        with pytest.raises(Unavailable) as refused:
            await future

        assert refused.value.written is None
        primary.store()


async def test_an_event_too_large_for_the_log_is_never_spooled(tmp_path: Path, primary: DecidedLog) -> None:
    primary.raises = TooLargeError()
    async with opened(tmp_path, primary) as rig:
        with pytest.raises(TooLargeError):
            rig.spool.append(keyed("evt_1"))

        assert rig.spooled() == []


async def test_health_says_that_it_spools_while_something_waits(tmp_path: Path, primary: DecidedLog) -> None:
    primary.refuses = "log_down"
    async with opened(tmp_path, primary) as rig:
        assert rig.spool.health().reason is None
        await rig.append(*keyed("evt_1"))
        async with relaying(rig):
            await until(lambda: rig.spool.health().reason == SPOOLING, "the measure")
            assert rig.spool.health().writable
            assert rig.spool.backlog.events == 1
            primary.refuses = None
            await until(lambda: rig.spool.health().reason is None, "the relay's end")
