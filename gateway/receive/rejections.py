"""Refused deliveries without their bodies: the last ones in memory, and a bounded file for `gateway rejections`.

Nothing here runs on the way to an answer but one append to a ring. A line of log tells of each source and reason at
most once a second, the file is written by an owned task.
"""

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

FILE_NAME = "rejections.jsonl"
ROTATED_NAME = "rejections.1.jsonl"
RING = 1000
FILE_BYTES = 2**20
_WRITE_SECONDS = 10.0

log = logging.getLogger("gateway.receive")


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """One refused delivery.

    Attributes:
        at_us: when it arrived, microseconds since the epoch.
        delivery_id: as answered.
        source: the configured source's name, `unknown` for any other.
        reason: why, in full; the sender was told less.
        status: as answered.
        client: the sender's address behind trusted proxies, empty if it has none.
        method: at most 16 characters.
        path: at most 64 characters, set only where no source is named.
        body_bytes: how much of the body was read.
        signature_age: arrival minus the signed timestamp in seconds, where one could be read.
        header_names: which headers came, at most 40, sorted; never their values.
        cause: what would have to be different, found afterwards; empty where it was not looked for.
    """

    at_us: int
    delivery_id: str
    source: str
    reason: str
    status: int
    client: str
    method: str = ""
    path: str = ""
    body_bytes: int = 0
    signature_age: float | None = None
    header_names: tuple[str, ...] = ()
    cause: str = ""


class Rejections:
    """Keeps them. `path` is the folder of the file, None to keep them in memory alone."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._ring: deque[Rejection] = deque(maxlen=RING)
        self._unwritten: deque[Rejection] = deque(maxlen=RING)
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._writing: asyncio.Task[None] | None = None  # a disk that hangs holds up one writer, never a row of them

    def add(self, rejection: Rejection) -> None:
        """Keep one; called on the way to an answer."""
        self._ring.append(rejection)
        if self._folder is not None:
            self._unwritten.append(rejection)
        self._unsaid[rejection.source, rejection.reason] += 1

    def explain(self, rejection: Rejection, cause: str) -> None:
        """Add what was found out of one that was kept; it is written once more if it was written already."""
        explained = msgspec.structs.replace(rejection, cause=cause)
        _put_in_place(self._ring, rejection, explained)
        if self._folder is not None and not _put_in_place(self._unwritten, rejection, explained):
            self._unwritten.append(explained)

    def recent(self) -> tuple[Rejection, ...]:
        """Return those in memory, oldest first."""
        return tuple(self._ring)

    async def flush(self) -> None:
        """Say what was refused since the last call, a line for each source and reason, and write it to the file."""
        for (source, reason), count in self._unsaid.items():
            log.info("delivery.refused", extra={"source": source, "reason": reason, "count": count})
        self._unsaid.clear()
        if not self._unwritten or self._folder is None or not (self._writing is None or self._writing.done()):
            return
        unwritten = tuple(self._unwritten)
        self._unwritten.clear()
        self._writing = asyncio.create_task(asyncio.to_thread(_write, self._folder, unwritten))
        await asyncio.wait([self._writing], timeout=_WRITE_SECONDS)
        error = self._writing.exception() if self._writing.done() else TimeoutError()
        if error is not None:
            log.warning("rejections.not_written", extra={"error": type(error).__name__, "count": len(unwritten)})


def _put_in_place(kept: deque[Rejection], former: Rejection, now: Rejection) -> bool:
    for index in range(len(kept) - 1, -1, -1):
        if kept[index] is former:
            kept[index] = now
            return True
    return False


def _write(folder: Path, rejections: Sequence[Rejection]) -> None:
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > FILE_BYTES:
        path.replace(folder / ROTATED_NAME)
    with open(path, "ab", opener=_private) as file:
        file.write(b"".join(msgspec.json.encode(rejection) + b"\n" for rejection in rejections))


def _private(path: str, flags: int) -> int:
    """Open for this user alone: senders' addresses are nobody else's business."""
    return os.open(path, flags, 0o600)


def read_rejections(folder: Path, *, limit: int) -> list[Rejection]:
    """Return the last `limit` refused deliveries written below `folder`, newest first. A torn line is skipped.

    Of two lines with the same id the later one counts: it has the cause.
    """
    found: dict[str, Rejection] = {}
    for name in (FILE_NAME, ROTATED_NAME):
        for line in _lines_backwards(folder / name):
            if len(found) >= limit:
                break
            try:
                rejection = msgspec.json.decode(line, type=Rejection)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            found.setdefault(rejection.delivery_id, rejection)
    return sorted(found.values(), key=lambda each: each.at_us, reverse=True)


def _lines_backwards(path: Path) -> Iterator[bytes]:
    try:
        yield from reversed(path.read_bytes().splitlines())
    except FileNotFoundError:
        return
