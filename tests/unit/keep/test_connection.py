import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.sqlite.connection import FileLock, migrate, open_reader, open_writer

STEPS = ("create table a (x)", "create table b (x); insert into b values (1)")


def test_a_writer_is_durable_at_every_commit_and_checkpoints_only_when_told(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "new" / "x.db", page_size=8192)

    pragmas = {name: connection.pragma(name) for name in ("journal_mode", "synchronous", "page_size", "foreign_keys")}
    connection.close()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "page_size": 8192, "foreign_keys": 0}


def test_the_bundled_sqlite_is_free_of_the_wal_reset_bug() -> None:
    assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) >= (3, 51, 3)


def test_migrations_go_forward_from_where_the_file_stands(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.db")
    migrate(connection, STEPS[:1])
    connection.execute("insert into a values (7)")

    migrate(connection, STEPS)
    migrate(connection, STEPS)

    assert connection.execute("select * from a, b").fetchall() == [(7, 1)]
    assert connection.pragma("user_version") == 2
    connection.close()


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.db")

    with pytest.raises(apsw.SQLError):
        migrate(connection, (STEPS[0], "create table c (x); nonsense"))

    assert connection.pragma("user_version") == 1
    assert not connection.table_exists("main", "c")
    connection.close()


def test_a_newer_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.db")
    migrate(connection, STEPS)

    with pytest.raises(GatewayError, match=r"x\.db has schema 2 .* knows 1: install that gateway again"):
        migrate(connection, STEPS[:1])
    connection.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)

    with pytest.raises(GatewayError, match="no database"):
        open_writer(tmp_path / "x.db")


def test_a_reader_of_an_absent_file_is_refused_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(DependencyError):
        open_reader(tmp_path / "x.db")

    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "x.db")
    migrate(writer, STEPS)
    reader = open_reader(tmp_path / "x.db")

    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("insert into a values (1)")
    reader.close()
    writer.close()


HOLD = """
import sys
from pathlib import Path
from gateway.keep.sqlite.connection import FileLock
with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "x.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DependencyError, match=rf"x\.db is in use by process {holder.pid} "):
            FileLock(tmp_path / "x.db").acquire()

        holder.kill()
        holder.wait()

    with FileLock(tmp_path / "x.db"):
        assert str(os.getpid()) in (tmp_path / "x.db.lock").read_text()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "x.db"), FileLock(tmp_path / "x.db")
    first.acquire()
    first.release()
    first.release()

    second.acquire()

    with pytest.raises(DependencyError):
        first.acquire()
    second.release()


def test_a_forked_child_does_not_keep_the_lock_of_a_holder_that_died(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from gateway.keep.sqlite.connection import FileLock;"
        " lock = FileLock(Path(sys.argv[1])); lock.acquire();"
        " os.fork() and signal.pause();"
        " print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "x.db")], stdout=subprocess.PIPE, start_new_session=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()

        try:
            with FileLock(tmp_path / "x.db"):
                pass
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
