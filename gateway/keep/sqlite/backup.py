"""Copying a running gateway's files, each as of one moment.

The state files go first: a copy whose cursors lie behind its log's end is one the gateway starts on.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.sqlite.connection import create_private, open_reader
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER

_STEP_PAGES = 1000


def backup(folder: Path, destination: Path) -> Iterator[tuple[str, int, int]]:
    """Copy `events.db` and `state/*.db` of `folder` to the new folder `destination`.

    Yields each file's name, its pages copied, and its pages in all, as the copy goes on.

    Args:
        folder: the log's folder; its gateway may be running.
        destination: must not exist, or be empty.

    Raises:
        GatewayError: `destination` holds something already.
        DependencyError: a file cannot be read or written.
    """
    if destination.exists() and any(destination.iterdir()):
        raise GatewayError(f"{destination} is not empty; name a new folder")
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    sources = [*sorted((folder / STATE_FOLDER).glob("*.db")), folder / FILE_NAME]
    for source in sources:
        copy = destination / source.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        for done, pages in _copy(source, copy):
            yield source.name, done, pages
    _sync_folders(destination)


def _copy(source: Path, destination: Path) -> Iterator[tuple[int, int]]:
    reading = open_reader(source)
    create_private(destination)
    writing = apsw.Connection(str(destination))
    try:
        # One snapshot for the whole copy: otherwise each commit beside it would start the copy anew.
        reading.execute("begin")
        reading.execute("select count(*) from sqlite_schema").fetchall()
        with writing.backup("main", reading, "main") as copying:
            while not copying.done:
                copying.step(_STEP_PAGES)
                yield copying.page_count - copying.remaining, copying.page_count
    except apsw.Error as error:
        raise DependencyError(f"cannot copy {source.name} ({error})") from error
    finally:
        writing.close()
        reading.close()


def _sync_folders(destination: Path) -> None:
    for folder in (destination / STATE_FOLDER, destination, destination.parent):
        if folder.exists():
            fd = os.open(folder, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
