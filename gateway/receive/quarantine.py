"""The quarantine of the edge: refused deliveries on their way to the disk, behind a bounded queue, by an owned task.

Nothing of them is parsed, indexed or handled; `readmission` alone looks at them again, when an operator says so.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.receive import quarantined
from gateway.receive.meter import EdgeMeter
from gateway.receive.quarantined import Bounds, Held, Quarantined

MOST_WAITING = 256
MOST_BYTES = 32 * 2**20
DEFAULT = Bounds(max_bytes=64 * 2**20, max_age=3 * 86_400.0)
_FLUSH_SECONDS = 0.5
_SWEEP_SECONDS = 60.0
_END_SECONDS = 10.0

log = logging.getLogger("gateway.receive")


class Quarantine:
    """What one edge puts into quarantine.

    Args:
        folder: of the log; None to keep nothing.
        bounds: of the sources that have a quarantine.
        meter: counts what is lost.
    """

    def __init__(self, folder: Path | None, bounds: Mapping[str, Bounds], meter: EdgeMeter) -> None:
        self._folder = folder
        self._bounds = bounds
        self._meter = meter
        self._waiting: list[Quarantined] = []
        self._bytes = 0
        self._held: dict[str, Held] = {}

    def takes(self, source: str) -> bool:
        """Return whether the source has a quarantine."""
        return source in self._bounds and self._folder is not None

    def offer(self, delivery: Quarantined) -> None:
        """Take a refused delivery on; one that finds the queue full is lost, and counted."""
        size = len(delivery.body)
        if len(self._waiting) >= MOST_WAITING or (self._waiting and self._bytes + size > MOST_BYTES):
            self._meter.source(delivery.source).quarantine_lost()
            return
        self._waiting.append(delivery)
        self._bytes += size

    def held(self) -> Mapping[str, Held]:
        """Return how much is kept of each source, as of the last look."""
        return self._held

    async def run(self) -> None:
        """Write what waits, and forget what is too old; runs until it is cancelled."""
        swept = float("-inf")
        while self._folder is not None:
            await self.flush()
            if time.monotonic() - swept >= _SWEEP_SECONDS:
                await self._sweep(self._folder)
                swept = time.monotonic()
            await asyncio.sleep(_FLUSH_SECONDS)

    async def flush(self) -> None:
        """Write what waits, source by source: cancelled, it has lost nothing that was not being written."""
        while self._folder is not None and self._waiting:
            source = self._waiting[0].source
            fresh = [delivery for delivery in self._waiting if delivery.source == source]
            self._waiting = [delivery for delivery in self._waiting if delivery.source != source]
            self._bytes -= sum(len(delivery.body) for delivery in fresh)
            await self._keep(self._folder, source, fresh)

    async def close(self) -> None:
        """Write what still waits, for some seconds at most."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.flush()
        except TimeoutError:
            log.warning("quarantine.not_written", extra={"error": "TimeoutError"})

    async def _keep(self, folder: Path, source: str, fresh: Sequence[Quarantined]) -> None:
        bounds, now_us = self._bounds[source], time.time_ns() // 1000
        lost, error = 0, None
        try:
            self._held[source], lost = await asyncio.to_thread(quarantined.keep, folder, source, fresh, bounds, now_us)
        except OSError as failed:
            lost, error = len(fresh), type(failed).__name__
        for _ in range(lost):
            self._meter.source(source).quarantine_lost()
        if lost:
            log.warning("quarantine.lost", extra={"source": source, "count": lost, "error": error})
        if len(fresh) > lost:
            log.info("quarantine.kept", extra={"source": source, "count": len(fresh) - lost})

    async def _sweep(self, folder: Path) -> None:
        """Look at every source's folder, of those that have no quarantine any more, too."""
        try:
            for source in await asyncio.to_thread(quarantined.sources, folder):
                await self._sweep_source(folder, source)
        except OSError as error:
            log.warning("quarantine.not_swept", extra={"error": type(error).__name__})

    async def _sweep_source(self, folder: Path, source: str) -> None:
        """Sweep one source's folder; one that cannot be must not keep the others from it."""
        bounds, now_us = self._bounds.get(source, DEFAULT), time.time_ns() // 1000
        try:
            self._held[source] = await asyncio.to_thread(quarantined.sweep, folder, source, bounds, now_us)
        except OSError as error:
            log.warning("quarantine.not_swept", extra={"source": source, "error": type(error).__name__})
