"""Deliveries that did not verify, exactly as they came: one file each, for this user alone, bounded in bytes and age.

A file's name tells when its delivery arrived, its id, and the file's size: nothing is opened to keep the bounds. Files
are whole or not there, but not forced to the disk: a flood of forgeries must not compete with the log for it.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.core.admission import Request
from gateway.receive.delivery import joined
from gateway.receive.files import locked, replace_whole

FOLDER = "quarantine"
MOST_FILES = 20_000
_BLOCK = 4096
_NAME = re.compile(r"([0-9]{16})\.([0-9a-z]{26})\.([0-9]{1,12})")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that was refused as not verified.

    Attributes:
        at_us: when it arrived, microseconds since the epoch.
        id: the delivery's id, as answered.
        source: the configured source it was sent to.
        reason: why it was refused.
        client: the sender's address behind trusted proxies, empty if it has none.
        method: of the request.
        query: the raw query string.
        headers: every header in order, names in lower case.
        body: the exact bytes.
    """

    at_us: int
    id: str
    source: str
    reason: str
    client: str
    method: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def request(self) -> Request:
        """Return it as it is admitted: with its own time of arrival."""
        headers, repeated = joined(self.headers)
        return Request(
            method=self.method,
            query=self.query,
            headers=headers,
            repeated=repeated,
            body=self.body,
            received_us=self.at_us,
            delivery_id=self.id,
        )


class Bounds(NamedTuple):
    """How much of a source is kept: bytes on the disk, and seconds since the arrival."""

    max_bytes: int
    max_age: float


class Entry(NamedTuple):
    """One file. They sort by arrival."""

    at_us: int
    id: str
    size: int
    name: str

    @property
    def room(self) -> int:
        """What it takes of the disk."""
        return -(-self.size // _BLOCK) * _BLOCK


class Held(NamedTuple):
    """How many deliveries of a source are kept, and their bytes on the disk."""

    deliveries: int = 0
    bytes: int = 0


def sources(folder: Path) -> Sequence[str]:
    """Return the sources that have, or had, something in quarantine."""
    try:
        return sorted(name for name in _names(folder / FOLDER) if _SOURCE.fullmatch(name))
    except FileNotFoundError:
        return []


def entries(folder: Path, source: str) -> list[Entry]:
    """Return what is kept of a source, the oldest first."""
    try:
        names = _names(folder / FOLDER / source)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = (match for match in map(_NAME.fullmatch, names) if match)
    return sorted(Entry(int(match[1]), match[2], int(match[3]), match[0]) for match in found)


def surplus(kept: Sequence[Entry], bounds: Bounds, now_us: int) -> Sequence[Entry]:
    """Return what must be forgotten: what is too old, and the oldest beyond the bound of bytes."""
    room, oldest_us = 0, now_us - int(bounds.max_age * 1e6)
    for left, entry in enumerate(reversed(kept)):
        room += entry.room
        if entry.at_us < oldest_us or room > bounds.max_bytes or left >= MOST_FILES:
            return kept[: len(kept) - left]
    return ()


def keep(folder: Path, source: str, fresh: Sequence[Quarantined], bounds: Bounds, now_us: int) -> tuple[Held, int]:
    """Keep deliveries of a source within the bounds; return what is kept now, and how many fresh ones were not.

    Raises:
        OSError: they could not be written.
    """
    encoded = {delivery.id: msgspec.msgpack.encode(delivery) for delivery in fresh}
    coming = [_entry(delivery, len(encoded[delivery.id])) for delivery in fresh]
    coming = [entry for entry in coming if entry.room <= bounds.max_bytes]
    with locked(folder / FOLDER / source):
        there = entries(folder, source)
        gone = set(surplus(sorted([*there, *coming]), bounds, now_us))
        for entry in gone.intersection(there):
            _unlink(folder, source, entry)
        staying = [entry for entry in coming if entry not in gone]
        for entry in staying:
            replace_whole(folder / FOLDER / source / entry.name, encoded[entry.id])
    return _held([*(entry for entry in there if entry not in gone), *staying]), len(fresh) - len(staying)


def sweep(folder: Path, source: str, bounds: Bounds, now_us: int) -> Held:
    """Forget what is beyond the bounds, and what a writer that was killed left half; return what is kept.

    Raises:
        OSError: the folder cannot be used.
    """
    with locked(folder / FOLDER / source):
        for name in _names(folder / FOLDER / source):
            if name.startswith(".") and name != ".lock":
                (folder / FOLDER / source / name).unlink(missing_ok=True)
        kept = entries(folder, source)
        gone = set(surplus(kept, bounds, now_us))
        for entry in gone:
            _unlink(folder, source, entry)
    return _held([entry for entry in kept if entry not in gone])


def read(folder: Path, source: str, entry: Entry) -> Quarantined | None:
    """Return a delivery; None if it is gone, or cannot be read any more."""
    try:
        data = (folder / FOLDER / source / entry.name).read_bytes()
        return msgspec.msgpack.decode(data, type=Quarantined)
    except (FileNotFoundError, msgspec.DecodeError):  # a power cut leaves files without their content
        return None


def forget(folder: Path, source: str, entry: Entry) -> bool:
    """Remove a delivery for good; False if it was gone.

    Raises:
        OSError: it could not be removed.
    """
    return _unlink(folder, source, entry)


def _names(folder: Path) -> list[str]:
    return os.listdir(folder)  # noqa: PTH208 - there may be thousands, and only their names are asked for


def _unlink(folder: Path, source: str, entry: Entry) -> bool:
    try:
        (folder / FOLDER / source / entry.name).unlink()
    except FileNotFoundError:
        return False
    return True


def _entry(delivery: Quarantined, size: int) -> Entry:
    return Entry(delivery.at_us, delivery.id, size, f"{delivery.at_us:016d}.{delivery.id}.{size}")


def _held(kept: Sequence[Entry]) -> Held:
    return Held(len(kept), sum(entry.room for entry in kept))
