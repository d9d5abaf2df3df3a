from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gateway.keep.envelope import encode
from gateway.keep.sqlite.connection import migrate, open_writer
from gateway.keep.sqlite.pins import Pin, read_pins
from gateway.keep.sqlite.retention import SLICE_ROWS, Retention
from gateway.keep.sqlite.schema import MIGRATIONS
from gateway.keep.sqlite.state import register
from tests.log_builders import make_event

DAY_US = 86_400_000_000
NOW_US = 100 * DAY_US


class Rig:
    """A log of one event a day, oldest first, and a retention of ten days over it."""

    def __init__(
        self, connection: apsw.Connection, *, events: int, max_bytes: int = 2**40, keep_unhandled: bool = False
    ) -> None:
        self.connection = connection
        self.pins: dict[str, Pin | None] = {}
        self.now_us = NOW_US
        self.events = events
        for number in range(events):
            event = make_event(received_us=NOW_US - (events - number) * DAY_US)
            row = (event.received_us, encode(event), event.body)
            connection.execute("insert into event (received_us, head, body) values (?, ?, ?)", row)
        self.retention = Retention(
            connection,
            retention=10 * 86400.0,
            max_bytes=max_bytes,
            keep_unhandled=keep_unhandled,
            read_pins=lambda: dict(self.pins),
        )

    def pin(self, router: str, cursor: int, needed_after: int | None = None) -> None:
        self.pins[router] = Pin(cursor if needed_after is None else needed_after, cursor)

    def pass_days(self, days: int) -> None:
        self.now_us += days * DAY_US

    def let_go(self, used_bytes: int = 1000) -> None:
        plan = self.retention.plan(first=self.stored()[0], last=self.events, used_bytes=used_bytes, now_us=self.now_us)
        while self.retention.slice(plan, last=self.events, now_us=self.now_us):
            pass

    def stored(self) -> list[int]:
        return [int(row[0]) for row in self.connection.execute("select seq from event order by seq")]

    def gaps(self) -> list[tuple[object, ...]]:
        return list(self.connection.execute("select router, from_seq, to_seq, events from gap order by 1, 2"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_writer(tmp_path / "events.db")
    migrate(connection, MIGRATIONS)
    yield connection
    connection.close()


def test_events_past_their_age_that_all_routers_handled_go(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("billing", 30)

    rig.let_go()

    assert rig.stored() == list(range(21, 31))
    assert rig.gaps() == []


def test_nothing_is_due_while_the_oldest_is_young_and_the_size_small(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=5, max_bytes=1000)

    due = [
        rig.retention.is_due(oldest_us=NOW_US - age * DAY_US, now_us=NOW_US, used_bytes=size)
        for age, size in ((5, 1000), (11, 1000), (5, 1001))
    ]

    assert due == [False, True, True]


def test_an_active_router_keeps_what_it_has_not_handled(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("billing", 30)
    rig.pin("slow", 5)

    rig.let_go()

    assert rig.stored()[0] == 6
    assert rig.gaps() == []


def test_a_running_replay_keeps_what_it_has_not_read(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("billing", 30, needed_after=3)

    rig.let_go()

    assert rig.stored()[0] == 4


def test_a_router_idle_for_the_whole_retention_becomes_one_counted_gap(
    connection: apsw.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(connection, events=30)
    rig.pin("forgotten", 5)
    rig.retention.follow(rig.now_us)
    rig.pass_days(11)

    rig.let_go()

    assert rig.stored() == [30], "the newest event stays, so that no offset is given twice"
    assert rig.gaps() == [("forgotten", 6, 29, 24)]
    assert [record.message for record in caplog.records] == ["log.gap"]


def test_a_router_that_moves_within_the_retention_is_not_idle(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("slow", 5)
    rig.retention.follow(rig.now_us)
    rig.pass_days(9)
    rig.pin("slow", 6)
    rig.retention.follow(rig.now_us)
    rig.pass_days(9)

    rig.let_go()

    assert rig.stored()[0] == 7


def test_over_its_size_the_log_lets_go_of_the_oldest_whoever_needs_them(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=8, max_bytes=600)
    rig.pin("slow", 1)

    rig.let_go(used_bytes=800)

    assert rig.stored() == [3, 4, 5, 6, 7, 8]
    assert rig.gaps() == [("slow", 2, 2, 1)]


def test_where_all_unhandled_is_kept_neither_age_nor_size_lets_go_of_it(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=40, max_bytes=500, keep_unhandled=True)
    rig.pin("relay", 5)
    rig.let_go(used_bytes=1000)
    rig.pass_days(11)

    rig.let_go(used_bytes=1000)

    assert rig.stored() == list(range(6, 41))
    assert rig.gaps() == []


def test_a_gap_that_goes_on_stays_one_gap_and_warns_once_an_hour(
    connection: apsw.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(connection, events=8, max_bytes=600)
    rig.pin("slow", 1)

    rig.let_go(used_bytes=800)
    rig.let_go(used_bytes=800)

    assert rig.gaps() == [("slow", 2, 4, 3)]
    assert len(caplog.records) == 1


def test_a_router_that_went_on_meanwhile_has_no_gap(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("slow", 5)
    rig.retention.follow(rig.now_us)
    rig.pass_days(11)
    plan = rig.retention.plan(first=1, last=30, used_bytes=1000, now_us=rig.now_us)

    rig.pin("slow", 30)
    rig.retention.slice(plan, last=30, now_us=rig.now_us)

    assert rig.gaps() == []


def test_a_slice_is_small(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=SLICE_ROWS + 100)
    plan = rig.retention.plan(first=1, last=rig.events, used_bytes=1000, now_us=rig.now_us)

    more = rig.retention.slice(plan, last=rig.events, now_us=rig.now_us)

    assert more
    assert rig.stored()[0] == SLICE_ROWS + 1


def test_a_state_file_pins_by_its_cursor_and_one_of_another_log_pins_everything(tmp_path: Path) -> None:
    register(tmp_path / "state" / "billing.db", "billing", "log-1", 42)
    register(tmp_path / "state" / "stranger.db", "stranger", "log-2", 42)

    pins = read_pins(tmp_path, "log-1")

    assert pins == {"billing": Pin(42, 42), "stranger": Pin(0, 0)}


def test_a_router_whose_state_cannot_be_read_keeps_what_it_was_last_seen_to_need(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("billing", 12)
    rig.retention.follow(rig.now_us)
    rig.pins["billing"] = None
    rig.pins["stranger"] = None

    rig.let_go()

    assert rig.stored()[0] == 13
    assert rig.gaps() == []


def test_what_goes_although_a_routers_state_cannot_be_read_is_a_counted_gap(connection: apsw.Connection) -> None:
    rig = Rig(connection, events=30)
    rig.pin("billing", 12)
    rig.retention.follow(rig.now_us)
    rig.pins["billing"] = None
    rig.pass_days(11)

    rig.let_go()

    assert rig.gaps() == [("billing", 13, 29, 17)]


def test_an_unreadable_state_file_is_named_and_says_nothing_of_what_it_needs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "broken.db").write_bytes(b"no database" * 1000)

    assert read_pins(tmp_path, "log-1") == {"broken": None}
    assert [(record.message, record.__dict__["router"]) for record in caplog.records] == [
        ("log.state_unreadable", "broken")
    ]
