"""Small files of the edge's own: read whole, replaced whole, for this user alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read_small(path: Path, *, most: int) -> bytes:
    """Return the file's bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than `most` bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError("the file is too large")
    return data


def replace_durably(path: Path, data: bytes) -> None:
    """Put `data` into the file, whole or not at all, and on the disk when this returns.

    Raises:
        OSError: it could not be done; the former file is still there.
    """
    replace_whole(path, data, durably=True)
    _sync_folder(path.parent)


def replace_whole(path: Path, data: bytes, *, durably: bool = False) -> None:
    """Put `data` into the file, whole or not at all; unless `durably`, a power cut may take it again.

    Raises:
        OSError: as above.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=_private) as file:
            file.write(data)
            file.flush()
            if durably:
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep the other edges of this machine out of it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
