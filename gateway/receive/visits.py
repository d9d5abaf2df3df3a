"""Visits: a provider asks that a URL be fetched to confirm a subscription (Amazon SNS). Its host was checked before.

They are made one at a time behind a bounded queue. What waits when the gateway stops is lost: the provider's console
sends the request again.
"""

import asyncio
import logging
from collections import deque
from http import HTTPStatus

from gateway.core.outgoing import Ask, Fetch, OutgoingError
from gateway.receive.errands import Errands
from gateway.receive.meter import SourceMeter

MOST_WAITING = 64
VISIT_SECONDS = 10.0
PAUSE_SECONDS = 5.0
_LARGEST = 64 * 2**10

log = logging.getLogger("gateway.receive")


class Visits:
    """Makes them; `pause` is the time in seconds between a visit that failed and the second and last try."""

    def __init__(self, fetch: Fetch, errands: Errands, *, pause: float = PAUSE_SECONDS) -> None:
        self._fetch = fetch
        self._errands = errands
        self._pause = pause
        self._waiting: deque[tuple[str, str, SourceMeter]] = deque()
        self._running: asyncio.Task[None] | None = None

    def add(self, source: str, url: str, meter: SourceMeter) -> bool:
        """Take one on; False if too many are waiting, so that the provider should come again."""
        if len(self._waiting) >= MOST_WAITING:
            meter.visited("dropped")
            return False
        self._waiting.append((source, url, meter))
        if self._running is None or self._running.done():
            self._running = self._errands.start(self._run())
        return True

    async def _run(self) -> None:
        while self._waiting:
            source, url, meter = self._waiting.popleft()
            done = await self._visit(source, url)
            if not done:
                await asyncio.sleep(self._pause)
                done = await self._visit(source, url)
            meter.visited("done" if done else "failed")

    async def _visit(self, source: str, url: str) -> bool:
        try:
            answer = await self._fetch(Ask(url=url, max_bytes=_LARGEST), VISIT_SECONDS)
        except OutgoingError as error:
            log.warning("visit.failed", extra={"source": source, "cause": str(error)})
            return False
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            log.warning("visit.failed", extra={"source": source, "status": answer.status})
            return False
        log.info("visit.done", extra={"source": source})
        return True
