"""A spool's rows by their offsets, for its relay; and where those go that cannot be read.

`set-aside/<offset>.head` and `.body` beside the log hold such a row's bytes as they are: `.body` is what the sender
sent, `.head` what was to describe it.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.keep.ports import Stored
from gateway.keep.sqlite.reader import SqliteReader

ASIDE_FOLDER = "set-aside"


def set_aside_in(folder: Path) -> int:
    """Return how many rows of the spool in `folder` were set aside and are still there."""
    return len(list((folder / ASIDE_FOLDER).glob("*.head")))


class SpooledRows:
    """The rows of the spool in `folder`; owns `reader`, which works in a thread of its own."""

    def __init__(self, folder: Path, reader: SqliteReader) -> None:
        self._folder = folder
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool-reader")
        self._aside = set_aside_in(folder)

    @property
    def aside(self) -> int:
        """How many rows were set aside and were still there at the start."""
        return self._aside

    async def read(self, offsets: Sequence[int], *, max_bytes: int) -> Sequence[Stored]:
        """Return the oldest of these rows that fit, at least one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._reader.read_each, offsets, max_bytes)

    async def set_aside(self, offset: int) -> None:
        """Write a row's bytes to files of its own, durably. A second time replaces them.

        Raises:
            OSError: they cannot be written.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, offset)
        self._aside += 1

    async def close(self) -> None:
        """Let go of the log's file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.close)
        self._thread.shutdown(wait=False)

    def _write(self, offset: int) -> None:
        head, body = self._reader.raw(offset)
        folder = self._folder / ASIDE_FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        _write(folder / f"{offset}.body", body)
        _write(folder / f"{offset}.head", head)
        for place in (folder, self._folder):
            _sync(place)


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make a folder's new names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
