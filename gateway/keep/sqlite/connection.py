"""Opening SQLite files: one connection that writes and checkpoints, read-only ones beside it, one owning process.

Every file is in WAL mode with `synchronous=FULL`: each commit is on the disk when it returns. Readers open READONLY,
because a merely `query_only` connection that closes last still checkpoints. Schemas are numbered by `user_version`.
"""

import fcntl
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from gateway.core.errors import DamagedError, DependencyError, GatewayError

BUSY_TIMEOUT_MS = 5000
_JOURNAL_SIZE_LIMIT = 64 * 2**20


def open_writer(
    path: Path, *, vfs: str | None = None, page_size: int | None = None, cached_statements: int = 100
) -> apsw.Connection:
    """Open the one connection of this process that writes and checkpoints `path`, creating the file if need be.

    `page_size` in bytes counts for a new file alone. With a `vfs` (for tests of failing disks) nobody else can open
    the file. Checkpoints happen only where the caller asks for them.

    Raises:
        DamagedError: the file is no database.
        DependencyError: it cannot be opened, another process keeps it locked, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    create_private(path)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        with opening(path):
            connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=cached_statements)
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if vfs is not None:
                # A VFS written in Python has no shared memory, which WAL mode needs unless the file is had alone.
                connection.pragma("locking_mode", "exclusive")
            if page_size is not None and not connection.pragma("page_count"):
                connection.pragma("page_size", page_size)
                connection.pragma("auto_vacuum", "incremental")
            connection.pragma("journal_mode", "wal")
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError, apsw.BusyError) as error:
        raise DependencyError(f"cannot write {path} ({error}); check its owner, and what else uses it") from error
    connection.wal_autocheckpoint(0)
    for name, value in (
        ("synchronous", "full"),
        ("foreign_keys", "off"),
        ("mmap_size", 0),
        ("temp_store", "memory"),
        ("journal_size_limit", _JOURNAL_SIZE_LIMIT),
    ):
        connection.pragma(name, value)
    return connection


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Say what a damaged file or a full disk means for whoever opens `path`.

    Raises:
        DamagedError: the file is no database, or not a whole one.
        DependencyError: there is no room to open it.
    """
    try:
        yield
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise DamagedError(path) from error
    except apsw.FullError as error:
        raise DependencyError(f"the disk is full: make room for {path}") from error


def create_private(path: Path) -> None:
    """Create `path` for this user alone, if it is not there; SQLite gives the files beside it the same mode.

    A file that is there is never opened here: closing it would drop the locks that SQLite holds on it in this process.
    What keeps the file from being created, SQLite reports.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def open_reader(path: Path) -> apsw.Connection:
    """Open `path` to read only, safe beside the process that writes it.

    Raises:
        DependencyError: the file is absent or cannot be read.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except (apsw.CantOpenError, apsw.PermissionsError) as error:
        raise DependencyError(f"cannot read {path}; does it exist, and may this user read it?") from error
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return connection


def migrate(connection: apsw.Connection, migrations: Sequence[str]) -> None:
    """Bring the file's schema to the newest version: `migrations[n]` leads from version n to n + 1.

    Each step is one transaction together with its number, so that a crash leaves one version or the next.

    Raises:
        GatewayError: a newer gateway wrote the file.
    """
    version = int(connection.pragma("user_version"))
    if version > len(migrations):
        name = Path(connection.filename).name
        raise GatewayError(
            f"{name} has schema {version} of a newer gateway, this one knows {len(migrations)}: "
            "install that gateway again, or restore a backup from before the upgrade"
        )
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("begin immediate")
        try:
            connection.execute(statements)
            connection.pragma("user_version", number)
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")


class FileLock:
    """`<path>.lock`, held while this process owns `path`; the file names its holder. The system drops it at any death.

    No process that the holder started keeps it: the descriptor closes on exec, and in a fork without one (a handler's
    process pool, which may outlive its worker).
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DependencyError: another process holds it; the message names that one.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 512, 0).decode(errors="replace").strip()
            os.close(fd)
            raise DependencyError(
                f"{self._path.name.removesuffix('.lock')} is in use by {holder or 'another process'}; stop it first"
            ) from error
        self._fd = fd
        with suppress(OSError):  # on a full disk the holder stays unnamed
            os.ftruncate(fd, 0)
            os.pwrite(fd, _who().encode(errors="replace"), 0)
        os.register_at_fork(after_in_child=_forgetter(self))

    def forget(self) -> None:
        """Close the descriptor that a forked child inherited; the holder keeps the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def release(self) -> None:
        """Let go; a second call does nothing. The file stays: removing it would let two processes hold two of them."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _forgetter(lock: FileLock) -> Callable[[], None]:
    # What is registered stays registered, so it must not keep the lock's object alive.
    held = weakref.ref(lock)

    def forget() -> None:
        found = held()
        if found is not None:
            found.forget()

    return forget


def _who() -> str:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:3]]).strip()
    return f"process {os.getpid()} ({command[:200]})"
