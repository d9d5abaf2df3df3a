from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.ports import Filter, Position
from gateway.keep.sqlite.backup import backup
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from gateway.keep.sqlite.connection import open_writer
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME
from gateway.keep.sqlite.state import register
from tests.log_builders import OpenLog, make_event, sqlite_log

EVENTS = [
    make_event("a", type="paid", key="k1", received_us=10_000_000_000_000_000),
    make_event("b", type="paid", key="k2", received_us=10_000_000_000_000_001, source="other"),
    make_event("c", type="void", key="k1", received_us=10_000_000_000_000_002, flags=("opaque",), time_us=7),
    make_event("d", type="paid", key="k1", received_us=10_000_000_000_000_003),
]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[OpenLog]:
    async with sqlite_log(tmp_path) as log:
        await log.append(*EVENTS)
        yield log


@pytest.fixture
def catalogue(opened: OpenLog, tmp_path: Path) -> Any:
    found = SqliteCatalogue(tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize(
    "where, ids",
    [
        pytest.param(Filter(), "abcd", id="all"),
        pytest.param(Filter(source="acme"), "acd", id="source"),
        pytest.param(Filter(type="paid"), "abd", id="type"),
        pytest.param(Filter(id="c"), "c", id="id"),
        pytest.param(Filter(key="k1", type="paid"), "ad", id="key and type"),
        pytest.param(Filter(since_us=10_000_000_000_000_001), "bcd", id="since is inclusive"),
        pytest.param(Filter(until_us=10_000_000_000_000_001), "a", id="until is exclusive"),
        pytest.param(Filter(source="nobody"), "", id="none"),
        pytest.param(Filter(id="\ud800"), "", id="an id no text can hold"),
    ],
)
def test_a_filter_narrows_lists_counts_and_reads_alike(
    catalogue: SqliteCatalogue, tmp_path: Path, where: Filter, ids: str
) -> None:
    listed = list(catalogue.events(where, limit=10, newest_first=False))
    reader = SqliteReader(tmp_path / FILE_NAME)
    read = reader.read_where(where, after=0, upto=100, max_events=10, max_bytes=2**20)
    reader.close()

    assert "".join(summary.id for summary in listed) == ids
    assert catalogue.count(where) == len(ids)
    assert "".join(stored.event.id for stored in read if stored.event) == ids


def test_a_summary_says_everything_but_the_body(catalogue: SqliteCatalogue) -> None:
    (found,) = catalogue.events(Filter(id="c"), limit=1, newest_first=True)

    event = EVENTS[2]
    assert (found.position, found.source, found.provider) == (Position(0, 3), "acme", "custom")
    assert (found.type, found.time_us, found.received_us, found.key) == ("void", 7, event.received_us, "k1")
    assert (found.body_sha256, found.body_bytes, found.flags) == (event.body_sha256, len(event.body), ("opaque",))


@pytest.mark.parametrize("newest_first, after, ids", [(True, 3, "ba"), (False, 2, "cd"), (True, 1, ""), (False, 4, "")])
def test_listing_goes_on_after_a_position_in_either_direction(
    catalogue: SqliteCatalogue,
    newest_first: bool,  # noqa: FBT001 - a parameter of the test
    after: int,
    ids: str,
) -> None:
    found = catalogue.events(Filter(), limit=10, newest_first=newest_first, after=Position(0, after))

    assert "".join(summary.id for summary in found) == ids


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_longer_than_one_slice_is_whole_and_in_order(
    catalogue: SqliteCatalogue,
    monkeypatch: pytest.MonkeyPatch,
    newest_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setattr("gateway.keep.sqlite.catalogue._SCAN_ROWS", 3)

    offsets = [summary.position.offset for summary in catalogue.events(Filter(), limit=9, newest_first=newest_first)]

    assert offsets == ([4, 3, 2, 1] if newest_first else [1, 2, 3, 4])
    assert catalogue.count(Filter(source="acme")) == 3


def test_a_limit_is_kept(catalogue: SqliteCatalogue) -> None:
    assert [found.id for found in catalogue.events(Filter(), limit=2, newest_first=True)] == ["d", "c"]


async def test_an_event_just_stored_is_found_with_its_body_and_all_its_conflicts(
    opened: OpenLog, catalogue: SqliteCatalogue
) -> None:
    await opened.append(make_event("a", body=b"another body"))

    found = catalogue.event("acme", "a")

    assert [stored.event.body for stored in found if stored.event] == [EVENTS[0].body, b"another body"]
    assert catalogue.event("other", "a") == []


async def test_an_event_is_found_after_its_id_went_into_the_table(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path) as opened:
        await opened.append(*EVENTS)
    catalogue = SqliteCatalogue(tmp_path)

    found = catalogue.event("acme", "d")
    catalogue.close()

    assert [stored.position.offset for stored in found] == [4]


async def test_a_record_that_cannot_be_decoded_is_read_with_its_error(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path) as opened:
        await opened.append(*EVENTS)
    writer = open_writer(tmp_path / FILE_NAME)
    writer.execute("update event set head = ? where seq = 2", (b'{"v":99}',))
    writer.close()
    reader = SqliteReader(tmp_path / FILE_NAME)

    found = reader.read_after(0, 10, 2**20)
    reader.close()

    assert [stored.event is None for stored in found] == [False, True, False, False]
    assert found[1].error == "envelope version 99"


def test_a_catalogue_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(DependencyError):
        SqliteCatalogue(tmp_path)


async def test_a_reader_refuses_the_log_of_a_newer_gateway(tmp_path: Path) -> None:
    async with sqlite_log(tmp_path):
        pass
    writer = open_writer(tmp_path / FILE_NAME)
    writer.pragma("user_version", 99)
    writer.close()

    with pytest.raises(GatewayError, match="schema 99"):
        SqliteReader(tmp_path / FILE_NAME)


async def test_a_backup_of_a_running_log_holds_what_was_durable_and_can_be_started_on(
    opened: OpenLog, tmp_path: Path
) -> None:
    register(tmp_path / "state" / "billing.db", "billing", opened.reader.log_id(), 4)

    steps = list(backup(tmp_path, tmp_path / "copy"))
    await opened.append(make_event("later"))

    async with sqlite_log(tmp_path / "copy") as restored:
        (known,) = await restored.append(EVENTS[0])
        assert known.duplicate
        assert restored.ids() == ["a", "b", "c", "d"]
        assert restored.reader.log_id() == opened.reader.log_id()
    assert [name for name, done, pages in steps if done == pages] == ["billing.db", "events.db"]


async def test_a_backup_overwrites_nothing(opened: OpenLog, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "precious").touch()

    with pytest.raises(GatewayError, match="not empty"):
        list(backup(tmp_path, tmp_path / "copy"))
