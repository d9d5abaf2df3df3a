"""What the writer does between batches, in slices of milliseconds: checkpoints, free space, retention, forgotten ids.

Its numbers (`Numbers`) are replaced whole, so that the event loop's thread reads them without a lock.
"""

import os
from dataclasses import dataclass

import apsw

from gateway.core.errors import UnavailableReason
from gateway.keep.sqlite.checkpoints import Checkpoints
from gateway.keep.sqlite.expiry import Expiry
from gateway.keep.sqlite.ids import Ids
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.pins import read_pins
from gateway.keep.sqlite.retention import Plan, Retention

TICK_SECONDS = 1.0
SLICE_SECONDS = 0.02
_FOLLOW_SECONDS = 600.0
_GATHERING_SECONDS = 60.0
_PLAN_SECONDS = 5.0
_FINISH_SECONDS = 1.0
_VACUUM_PAGES, _VACUUM_PAGES_IF_SHORT = 64, 4096


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
        ids: Ids,
        expiry: Expiry,
        checkpoints: Checkpoints,
        log_id: str,
    ) -> None:
        self._connection = connection
        self._options = options
        self._ids = ids
        self._expiry = expiry
        self._checkpoints = checkpoints
        self.numbers = self._read_numbers()
        self.short_of: UnavailableReason | None = self._check_space()
        self._retention = Retention(
            connection,
            retention=options.retention,
            max_bytes=options.max_bytes,
            keep_unhandled=options.keep_unhandled,
            read_pins=lambda: read_pins(options.folder, log_id),
        )
        self._plan: Plan | None = None
        self._next_tick = self._next_slice = self._next_follow = 0.0
        self._next_gathering = self._next_plan = 0.0
        self._gather_all = self._more = False

    def run(self, last: int, *, idle: bool) -> bool:
        """Do what is due; `last` is the newest offset, `idle` says that no append waits. Return whether more waits."""
        self._checkpoints.run(idle=idle)
        now = self._expiry.steady()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._tick(last, now)
        if now >= self._next_slice or self._ids.crowded:
            self._next_slice = now + SLICE_SECONDS
            self._more = self._slice(last)
        return self._more

    def finish(self) -> None:
        """Note how far all of it came; for up to a second, move ids that the next start would have to find again."""
        self._expiry.keep()
        until = self._expiry.steady() + _FINISH_SECONDS
        while self._ids.move_slice(whatever_there_is=True) and self._expiry.steady() < until:
            pass

    def close(self) -> None:
        """End what runs beside the writer."""
        self._checkpoints.close()

    def _slice(self, last: int) -> bool:
        moving = self._ids.move_slice(whatever_there_is=self._gather_all)
        self._gather_all &= moving
        if self._plan is not None and not moving:
            safe = min(last, self._ids.indexed + 1)
            if not self._retention.slice(self._plan, last=safe, now_us=self._expiry.now_us):
                self._plan = None
                self.numbers = self._read_numbers()
        return moving or self._plan is not None

    def _tick(self, last: int, now: float) -> None:
        self._expiry.advance()
        self.short_of = self._check_space()
        self.numbers = self._read_numbers()
        self._expiry.slice()
        if now >= self._next_follow:
            self._next_follow = now + _FOLLOW_SECONDS
            self._expiry.keep()
            self._retention.follow(self._expiry.now_us)
        if now >= self._next_gathering:
            self._next_gathering = now + _GATHERING_SECONDS
            self._gather_all = True
        if self._plan is None and now >= self._next_plan and self._is_due(last):
            self._next_plan = now + _PLAN_SECONDS
            self._gather_all = True
            numbers = self.numbers
            self._plan = self._retention.plan(
                first=numbers.first, last=last, used_bytes=numbers.used_bytes, now_us=self._expiry.now_us
            )
        self._give_back()

    def _is_due(self, last: int) -> bool:
        numbers = self.numbers
        return 0 < numbers.first < last and self._retention.is_due(
            oldest_us=numbers.oldest_us, now_us=self._expiry.now_us, used_bytes=numbers.used_bytes
        )

    def _give_back(self) -> None:
        """Return freed pages to the disk: a few if they are many, more if the disk is short and no append waits."""
        numbers = self.numbers
        if numbers.free_pages and (self.short_of or numbers.free_pages > numbers.pages // 4):
            pages = _VACUUM_PAGES_IF_SHORT if self.short_of else _VACUUM_PAGES
            self._connection.execute(f"pragma incremental_vacuum({pages})").fetchall()

    def _check_space(self) -> UnavailableReason | None:
        space = os.statvfs(self._options.folder)
        return "disk_full" if space.f_bavail * space.f_frsize < self._options.min_free else None

    def _read_numbers(self) -> Numbers:
        execute = self._connection.execute
        row = execute("select seq, received_us from event order by seq limit 1").fetchone() or (0, 0)
        pages, free = int(self._connection.pragma("page_count")), int(self._connection.pragma("freelist_count"))
        return Numbers(row[0], row[1], (pages - free) * int(self._connection.pragma("page_size")), free, pages)
