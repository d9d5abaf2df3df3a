"""What is looked at and written before a gateway serves: cursors, ids that a crash left in memory, file modes."""

import asyncio
import os
import shutil
import stat
from pathlib import Path

import apsw
import pytest

from gateway import wiring
from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.keep.sqlite.connection import open_reader, open_writer
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions, wall_us
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME
from gateway.keep.sqlite.state import register
from gateway.wiring import embedded
from tests import commands
from tests.log_builders import until

DAY_US = 86_400_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = commands.folder_with_config(tmp_path / "gateway")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


def registered_at(settings: Settings, position: int) -> None:
    reader = SqliteReader(embedded.log_path(settings.log))
    log_id = reader.log_id()
    reader.close()
    register(embedded.state_path(settings.log, "billing"), "billing", log_id, position)


@pytest.mark.parametrize("routers", [("billing",), ()], ids=["with its worker", "the edge alone"])
def test_an_edge_stores_nothing_in_a_log_that_ends_before_a_routers_cursor(
    folder: Path, routers: tuple[str, ...]
) -> None:
    settings = commands.settings_of(folder)
    commands.store(settings, [commands.admitted(settings, 1, "evt_1")])
    registered_at(settings, 2)

    with pytest.raises(DependencyError, match=r"beyond the log's end at 1.*routers forget billing"):
        wiring.prepare(settings, edge=True, routers=routers)


def test_an_edge_prepares_a_log_that_ends_at_a_routers_cursor(folder: Path) -> None:
    settings = commands.settings_of(folder)
    commands.store(settings, [commands.admitted(settings, 1, "evt_1")])
    registered_at(settings, 1)

    wiring.prepare(settings, edge=True, routers=("billing",))


async def crashed_log(settings: Settings, scratch: Path) -> None:
    """Leave a log as `kill -9` does: two events stored, the id of the second in no table."""
    log = SqliteLog(LogOptions(folder=scratch, min_free=0), wake=lambda: None, on_poison=lambda: None)
    await asyncio.gather(*log.append([commands.admitted(settings, 1, "evt_1")]))
    connection = open_reader(scratch / FILE_NAME)
    # The first gathering begins at once, the next one a minute later.
    await until(lambda: connection.execute("select value from meta where key = 'indexed_seq'").get == 1)
    await asyncio.gather(*log.append([commands.admitted(settings, 2, "evt_2")]))
    shutil.copytree(scratch, settings.log.path)
    connection.close()
    await log.close()


def test_ids_that_a_crash_left_in_memory_keep_their_sources_window(folder: Path, tmp_path: Path) -> None:
    path = folder / "config/gateway.yaml"
    path.write_text(path.read_text().replace("provider: custom", "provider: custom\n    dedupe_window: 40d"))
    settings = commands.settings_of(folder)
    asyncio.run(crashed_log(settings, tmp_path / "scratch"))

    wiring.prepare(settings, edge=True, routers=())

    connection = open_reader(embedded.log_path(settings.log))
    expires_day = int(connection.execute("select expires_day from id where seq = 2").get)
    connection.close()
    assert expires_day >= wall_us() // DAY_US + 40


def test_files_with_bodies_are_for_their_owner_alone_in_a_folder_that_is_open_to_all(folder: Path) -> None:
    settings = commands.settings_of(folder)
    settings.log.path.mkdir()
    former = os.umask(0o022)
    try:
        wiring.prepare(settings, edge=True, routers=("billing",))
        commands.store(settings, [commands.admitted(settings, 1, "evt_1")])
    finally:
        os.umask(former)

    files = [path for path in settings.log.path.rglob("*") if path.is_file()]
    assert {"events.db", "billing.db"} <= {path.name for path in files}
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {
        path.name: "0o600" for path in files
    }


def test_the_write_ahead_log_has_its_files_mode(tmp_path: Path) -> None:
    former = os.umask(0o022)
    try:
        connection = written(tmp_path / "x.db")
        modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.iterdir()}
        connection.close()
    finally:
        os.umask(former)

    assert modes == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm"), "0o600")


def written(path: Path) -> apsw.Connection:
    connection = open_writer(path)
    connection.execute("create table a (x)")
    return connection


def test_a_command_on_a_stopped_router_does_not_look_like_a_crash_of_its_worker(folder: Path) -> None:
    settings = commands.settings_of(folder)
    commands.store(settings, [commands.admitted(settings, 1, "evt_1")])
    registered_at(settings, 1)

    list(wiring.operate(settings, "billing", "pause", {}))

    connection = open_reader(embedded.state_path(settings.log, "billing"))
    clean = connection.execute("select value from gateway_meta where key = 'clean'").get
    connection.close()
    assert clean == 1
