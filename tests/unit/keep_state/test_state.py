import logging
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.ports import Filter, MarkKey, Position, Replay, Replays, Stored
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from tests.state_builders import LOG, make_event, make_pair, opened, stored


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "billing.db"


def open_state(path: Path, *, router: str = "billing", log: LogPlace = LOG) -> SqliteState:
    return SqliteState.open(path, router=router, log=log)


def make_replay(**over: object) -> Replay:
    values = {"id": "rp_1", "handler": "record", "where": Filter(source="stripe"), "mode": "missing", **over}
    return Replay(**{"new_keys": False, "rate": 5.0, "upto": {0: 90}, "at": {0: 10}, **values})  # type: ignore[arg-type]


async def test_router_that_was_never_registered_is_refused(path: Path) -> None:
    with pytest.raises(DependencyError, match="gateway run"):
        open_state(path)


def test_registering_again_changes_nothing(path: Path) -> None:
    first, second = register(path, "billing", LOG.log_id, 7), register(path, "billing", LOG.log_id, 99)

    assert (first, second, state_reader.cursor(path)) == (True, False, 7)


def test_file_of_another_router_is_refused(path: Path) -> None:
    register(path, "billing", LOG.log_id, 0)

    with pytest.raises(DependencyError, match="belongs to router billing"):
        register(path, "shipping", LOG.log_id, 0)


async def test_second_owner_is_refused_and_the_file_free_after_close(path: Path) -> None:
    async with opened(path):
        with pytest.raises(DependencyError):
            open_state(path)

    async with opened(path):
        pass


async def test_unknown_log_is_read_from_its_beginning_with_an_alarm(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(path, "billing", "another", 500)

    await open_state(path).close()

    assert state_reader.cursor(path) == 0
    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.ERROR, "state.unknown_log")]


async def test_cursor_beyond_the_logs_end_is_refused_with_the_remedy(path: Path) -> None:
    register(path, "billing", LOG.log_id, 500)

    with pytest.raises(DependencyError, match="gateway routers forget billing"):
        open_state(path, log=LogPlace(LOG.log_id, 499))

    assert state_reader.cursor(path) == 500
    await open_state(path, log=LogPlace(LOG.log_id, 500)).close()


async def test_lost_position_is_an_error_and_no_reset(path: Path) -> None:
    register(path, "billing", LOG.log_id, 5)
    editor = apsw.Connection(str(path))
    editor.execute("delete from gateway_cursor")
    editor.close()

    with pytest.raises(DependencyError, match="lost its position"):
        open_state(path)


async def test_file_of_a_newer_gateway_is_refused(path: Path) -> None:
    register(path, "billing", LOG.log_id, 5)
    editor = apsw.Connection(str(path))
    editor.pragma("user_version", 99)
    editor.close()

    with pytest.raises(GatewayError, match="newer"):
        open_state(path)


async def test_replay_resumes_where_it_durably_stood(path: Path) -> None:
    async with opened(path) as state:
        replays: Replays = state.replays
        await replays.save(make_replay())
        await state.replays.save(make_replay(at={0: 42}, handed=3))
        await state.replays.save(make_replay(id="rp_2", state="done"))

    async with opened(path) as state:
        assert list(state.replays.running()) == [make_replay(at={0: 42}, handed=3)]
        await state.replays.save(make_replay(state="cancelled"))
        assert list(state.replays.running()) == []
    assert [replay.state for replay in state_reader.replays(path)] == ["cancelled", "done"]


async def test_log_must_keep_what_the_cursor_and_a_running_replay_need(path: Path) -> None:
    register(path, "billing", LOG.log_id, 50)
    state = open_state(path)
    alone = state_reader.needed_after(path)
    await state.replays.save(make_replay(at={0: 10}))
    replaying = state_reader.needed_after(path)
    await state.replays.save(make_replay(at={0: 90}, state="done"))

    assert (alone, replaying, state_reader.needed_after(path)) == (50, 10, 50)
    await state.close()


async def test_absent_file_is_a_router_without_anything(path: Path) -> None:
    assert state_reader.cursor(path) is None
    assert state_reader.needed_after(path) is None
    assert state_reader.pair_states(path, stored(1)) == []
    assert list(state_reader.dead_letters(path, limit=10)) == []
    assert state_reader.summary(path).cursor is None


async def test_summary_is_read_beside_the_running_worker(path: Path) -> None:
    async with opened(path) as state:
        await state.parking.park(make_pair(), due_us=0, error="")
        await state.parking.bury(make_pair(offset=2), reason="gave_up", error="", trace="")
        await state.pausing.set_paused("breaker")

        summary = state_reader.summary(path)
        [letter] = state_reader.dead_letters(path, limit=10)

    assert (summary.router, summary.log_id, summary.cursor) == ("billing", LOG.log_id, 0)
    assert (summary.parked, summary.dead, summary.paused) == (1, 1, "breaker")
    assert letter.reason == "gave_up"


async def test_state_of_an_event_is_told_by_handler(path: Path) -> None:
    event = make_event()
    record = Stored(Position(0, 5), event)
    pair = make_pair(event=event, offset=5, attempt=2)
    async with opened(path) as state:
        await state.store.mark(MarkKey("a-done", event.dedupe_key), "done", version=None, attempt=1)
        await state.store.mark(MarkKey("b-stale", event.dedupe_key), "stale", version=None, attempt=1)
        await state.parking.park(replace(pair, handler="c-retrying"), due_us=99, error="ValueError")
        await state.parking.park(replace(make_pair(offset=4), handler="d-held"), due_us=99, error="")
        await state.parking.hold(replace(pair, handler="d-held"))
        await state.parking.bury(replace(pair, handler="e-dead"), reason="gave_up", error="no", trace="")

        states = state_reader.pair_states(path, record)

    told = {status.handler: (status.state, status.attempts, status.next_us, status.error) for status in states}
    assert told == {
        "": ("pending", 0, None, ""),
        "a-done": ("done", 1, None, ""),
        "b-stale": ("stale", 1, None, ""),
        "c-retrying": ("retrying", 2, 99, "ValueError"),
        "d-held": ("held", 2, None, ""),
        "e-dead": ("dead", 2, None, "no"),
    }
