"""A disk under SQLite that loses power, runs full, or fails: an apsw VFS over the real one.

It keeps, per file, what was synced and what was written since. A cut gives back what a disk may hold after the power
went: everything synced, and of the rest any part, torn anywhere at a sector's edge.
"""

import itertools
import random
import threading
from pathlib import Path
from typing import Any, NamedTuple

import apsw

SECTOR = 512
_names = itertools.count()


class Write(NamedTuple):
    offset: int
    data: bytes


class Truncate(NamedTuple):
    size: int


class Kept:
    """One file: the synced image, and what came later, in order."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.later: list[Write | Truncate] = []

    def sync(self) -> None:
        for change in self.later:
            apply(self.synced, change)
        self.later = []

    def after_a_cut(self, chance: random.Random) -> bytes:
        image = bytearray(self.synced)
        for change in self.later:
            if chance.random() < 0.5:
                continue
            if isinstance(change, Write) and chance.random() < 0.3:
                sectors = chance.randrange(len(change.data) // SECTOR + 1)
                change = Write(change.offset, change.data[: sectors * SECTOR])  # noqa: PLW2901 - the torn half of it
            apply(image, change)
        return bytes(image)


def apply(image: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del image[change.size :]
        return
    end = change.offset + len(change.data)
    image.extend(b"\0" * (end - len(image)))
    image[change.offset : end] = change.data


class Disk(apsw.VFS):
    """Registered as `name` until `close`. Set `full`, `fails_sync` or `fails_write` to have it fail from then on."""

    def __init__(self) -> None:
        self.name = f"faulty-{next(_names)}"
        self.files: dict[str, Kept] = {}
        self.lock = threading.Lock()
        self.full = self.fails_sync = self.fails_write = False
        self.syncs = 0
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "File":  # noqa: N802 - SQLite's name
        return File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's signature
        with self.lock:
            self.files.pop(filename, None)
        super().xDelete(filename, syncdir)

    def cut(self, folder: Path, chance: random.Random) -> None:
        """Write into `folder` what is left of all files when the power goes now."""
        folder.mkdir(parents=True)
        with self.lock:
            images = {Path(name).name: kept.after_a_cut(chance) for name, kept in self.files.items()}
        for name, image in images.items():
            (folder / name).write_bytes(image)


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with disk.lock:
            self._kept = disk.files.setdefault(path, Kept())
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.full:
            raise apsw.FullError
        if self._disk.fails_write:
            raise apsw.IOError
        super().xWrite(data, offset)
        with self._disk.lock:
            self._kept.later.append(Write(offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(size)
        with self._disk.lock:
            self._kept.later.append(Truncate(size))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.fails_sync:
            raise apsw.IOError
        with self._disk.lock:
            self._disk.syncs += 1
            self._kept.sync()
