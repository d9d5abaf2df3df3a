"""When each active secret last verified a delivery: noted in memory, kept in a file, for whoever wants to remove one.

A record tells since when its secret was watched. It begins anew with another secret under the same label, and whenever
no edge ran for an hour: what nobody saw must not count as silence. Several edges of one machine share the file.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from gateway.receive.files import locked, read_small, replace_durably

FOLDER = "secrets"
FILE_NAME = "uses.json"
FLUSH_SECONDS = 30.0
UNWATCHED_US = 3_600 * 1_000_000
LARGEST = 2**20
_WRITE_SECONDS = 10.0

Marks = Mapping[str, Mapping[str, str]]
"""By source and label of what is configured: what tells one secret under the label from another, empty for nothing."""

log = logging.getLogger("gateway.receive")


class LabelUses:
    """The uses of one source's secrets since the start. `note` is called on the ack path."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.count: dict[str, int] = {}

    def note(self, label: str, at_us: int) -> None:
        """Note that the secret of this label verified a delivery."""
        self.last[label] = at_us
        self.count[label] = self.count.get(label, 0) + 1


class Use(msgspec.Struct, frozen=True):
    """One secret: watched since, last used, how often; microseconds since the epoch, 0 for never."""

    since_us: int
    last_us: int = 0
    count: int = 0
    mark: str = ""


class Record(msgspec.Struct, frozen=True):
    """What is known of all: by source and label. `seen_us` is when an edge last looked."""

    salt: str
    seen_us: int = 0
    sources: dict[str, dict[str, Use]] = {}


def mark_of(text: str, salt: str) -> str:
    """Return two bytes that tell a secret from its successor under the label; too little to guess it by."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), key=bytes.fromhex(salt), digest_size=2).hexdigest()


def merged(record: Record, marks: Marks, fresh: Mapping[str, Mapping[str, tuple[int, int]]], now_us: int) -> Record:
    """Return the record of what is configured, with fresh uses (last, count) by source and label."""
    unwatched = now_us - record.seen_us > UNWATCHED_US
    found: dict[str, dict[str, Use]] = {}
    for source, labels in marks.items():
        found[source] = {}
        for label, mark in labels.items():
            former = record.sources.get(source, {}).get(label)
            if former is None or former.mark != mark:
                former = Use(now_us, mark=mark)
            last_us, count = fresh.get(source, {}).get(label, (0, 0))
            found[source][label] = Use(
                since_us=now_us if unwatched else former.since_us,
                last_us=max(former.last_us, last_us),
                count=former.count + count,
                mark=mark,
            )
    return Record(record.salt, now_us, found)


def read(folder: Path) -> Record | None:
    """Return the record below the log's folder; None if there is none, or none that can be read.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        return msgspec.json.decode(read_small(folder / FOLDER / FILE_NAME, most=LARGEST), type=Record)
    except (FileNotFoundError, ValueError):
        return None


def update(
    folder: Path,
    marks_of: Callable[[str], Marks],
    fresh: Mapping[str, Mapping[str, tuple[int, int]]],
    now_us: int,
) -> Record:
    """Merge fresh uses into the file; return what it holds now.

    Raises:
        OSError: it could not be written.
    """
    with locked(folder / FOLDER):
        record = read(folder) or Record(secrets.token_hex(16))
        found = merged(record, marks_of(record.salt), fresh, now_us)
        replace_durably(folder / FOLDER / FILE_NAME, msgspec.json.encode(found))
    return found


class SecretUses:
    """The uses of all sources of one edge.

    Args:
        folder: of the log; None to keep them in memory alone.
        uses: those of each source.
        texts_of: returns the active secrets' texts of a source by label, empty for what is no secret.
    """

    def __init__(
        self, folder: Path | None, uses: Mapping[str, LabelUses], texts_of: Callable[[str], Mapping[str, str]]
    ) -> None:
        self._folder = folder
        self._uses = uses
        self._texts_of = texts_of
        self._written: dict[str, dict[str, int]] = {}
        self._record: Record | None = None

    def last(self, source: str) -> Mapping[str, float]:
        """Return when each secret of a source was last used, Unix time; those that never were are not there."""
        kept = {} if self._record is None else self._record.sources.get(source, {})
        found = {label: use.last_us / 1e6 for label, use in kept.items() if use.last_us}
        return found | {label: at_us / 1e6 for label, at_us in self._uses[source].last.items()}

    async def run(self) -> None:
        """Write them down now and then; runs until it is cancelled."""
        while self._folder is not None:
            await self.flush()
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self) -> None:
        """Write down what was noted since the last time; what cannot be written now is written the next time."""
        if self._folder is None:
            return
        counts = {source: dict(uses.count) for source, uses in self._uses.items()}
        fresh = {source: self._fresh(source, labels) for source, labels in counts.items()}
        texts = {source: self._texts_of(source) for source in self._uses}
        now_us = time.time_ns() // 1000
        former, self._written = self._written, counts  # at once: a write that nobody waits for any more still ends
        try:
            writing = asyncio.to_thread(update, self._folder, lambda salt: _marks(texts, salt), fresh, now_us)
            self._record = await asyncio.wait_for(writing, _WRITE_SECONDS)
        except OSError as error:
            self._written = former
            log.warning("uses.not_written", extra={"error": type(error).__name__})

    def _fresh(self, source: str, counts: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        written, last = self._written.get(source, {}), self._uses[source].last
        new = {label: count - written.get(label, 0) for label, count in counts.items()}
        return {label: (last[label], count) for label, count in new.items() if count}


def _marks(texts: Mapping[str, Mapping[str, str]], salt: str) -> Marks:
    return {
        source: {label: mark_of(text, salt) if text else "" for label, text in labels.items()}
        for source, labels in texts.items()
    }
