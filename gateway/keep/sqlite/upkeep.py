"""What the writer does between batches, in slices of milliseconds: checkpoints, free space, retention, forgotten ids.

Its numbers (`Numbers`) are replaced whole, so that the event loop's thread reads them without a lock.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from gateway.core.errors import UnavailableReason
from gateway.keep.sqlite.expiry import ExpiryClock, IdExpiry
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.pins import read_pins
from gateway.keep.sqlite.retention import Plan, Retention

log = logging.getLogger("gateway.keep")

TICK_SECONDS = 1.0
_FOLLOW_SECONDS = 600.0
_SLICE_EVERY_SECONDS = 0.02
# Pages of 8 KiB: 16 MiB of write-ahead log when nothing waits, 64 MiB whatever waits.
_SOFT_FRAMES, _HARD_FRAMES = 2048, 8192
_VACUUM_PAGES = 64


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the log knows of itself. `first` is the oldest event's offset, `oldest_us` when it was received."""

    first: int
    oldest_us: int
    used_bytes: int
    free_pages: int
    pages: int


class Upkeep:
    """The writer's other duties, on its connection and its thread."""

    def __init__(
        self,
        connection: apsw.Connection,
        options: LogOptions,
        *,
        log_id: str,
        wall_us: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._options = options
        self._wall_us, self._steady = wall_us, steady
        self.numbers = self._read_numbers()
        stored: Any = connection.execute("select value from meta where key = 'expiry_us'").get
        self.clock = ExpiryClock(wall_us() if stored is None else int(stored), wall_us(), steady())
        self.short_of: UnavailableReason | None = self._check_space()
        self._ids = IdExpiry(connection)
        self._retention = Retention(
            connection,
            retention=options.retention,
            max_bytes=options.max_bytes,
            read_pins=lambda: read_pins(options.folder, log_id),
        )
        self._plan: Plan | None = None
        self._next_tick = self._next_slice = self._next_follow = 0.0
        self._written_before = 0

    def run(self, last: int, *, idle: bool) -> bool:
        """Do what is due; `last` is the newest offset, `idle` says that no append waits. Return whether more waits."""
        self._checkpoint(idle=idle)
        now = self._steady()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._tick(last, now)
        if self._plan is not None and (idle or now >= self._next_slice):
            self._next_slice = now + _SLICE_EVERY_SECONDS
            if not self._retention.slice(self._plan, last=last, now_us=self.clock.now_us):
                self._plan = None
                self.numbers = self._read_numbers()
        return self._plan is not None

    def finish(self) -> None:
        """Note how far the expiry clock came."""
        self._keep_clock()

    def _checkpoint(self, *, idle: bool) -> None:
        frames = self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0] - self._written_before
        if frames < (_SOFT_FRAMES if idle else _HARD_FRAMES):
            return
        in_log, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        written = self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
        # What a reader still holds back stays in the log and counts again, but is not tried at every batch.
        self._written_before = written - min(in_log - moved, _SOFT_FRAMES // 2)

    def _tick(self, last: int, now: float) -> None:
        before = self.clock
        self.clock = before.advance(self._wall_us(), self._steady())
        if self.clock.jumped_us and not before.jumped_us:
            log.error("log.clock_jumped", extra={"seconds": self.clock.jumped_us / 1e6})
        self.short_of = self._check_space()
        self.numbers = self._read_numbers()
        self._ids.slice(self.clock.now_us)
        if now >= self._next_follow:
            self._next_follow = now + _FOLLOW_SECONDS
            self._keep_clock()
            self._retention.follow(self.clock.now_us)
        self._plan = self._plan or self._make_plan(last)
        self._give_back()

    def _make_plan(self, last: int) -> Plan | None:
        numbers, now_us = self.numbers, self.clock.now_us
        if numbers.first >= last or not self._retention.is_due(
            oldest_us=numbers.oldest_us, now_us=now_us, used_bytes=numbers.used_bytes
        ):
            return None
        return self._retention.plan(first=numbers.first, last=last, used_bytes=numbers.used_bytes, now_us=now_us)

    def _give_back(self) -> None:
        """Return freed pages to the disk, a few at a time, if they are many or the disk needs them."""
        numbers = self.numbers
        if numbers.free_pages > numbers.pages // 4 or (self.short_of and numbers.free_pages):
            self._connection.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()

    def _check_space(self) -> UnavailableReason | None:
        space = os.statvfs(self._options.folder)
        return "disk_full" if space.f_bavail * space.f_frsize < self._options.min_free else None

    def _keep_clock(self) -> None:
        self._connection.execute("insert or replace into meta values ('expiry_us', ?)", (self.clock.now_us,))

    def _read_numbers(self) -> Numbers:
        execute = self._connection.execute
        row = execute("select seq, received_us from event order by seq limit 1").fetchone() or (0, 0)
        pages, free = int(self._connection.pragma("page_count")), int(self._connection.pragma("freelist_count"))
        return Numbers(row[0], row[1], (pages - free) * int(self._connection.pragma("page_size")), free, pages)
