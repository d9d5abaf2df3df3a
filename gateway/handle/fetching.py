"""What handlers ask of the outside: the object that an event only names, and posts of their own.

An answer of 2xx is returned. One that will change by itself (429, 5xx) ends the run with `Retry`, after as long as the
answer asks for; any other is an error that names the host and the status.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.api import Retry
from gateway.core.errors import GatewayError
from gateway.core.event import Event
from gateway.core.objects import Objects, is_final
from gateway.core.outgoing import Answer, AnswerError, Ask, Fetch, NotFoundError, retry_after
from gateway.handle.rates import Bucket

# How long one request may take, and how much of a run's time is left over to end it in.
_REQUEST_SECONDS = 10.0
_MARGIN = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_PASSING = frozenset({408, 425, 429})

Sleep = Callable[[float], Awaitable[None]]


async def nobody(_ask: Ask, _seconds: float) -> Answer:
    """Run no request: the `Fetch` of a worker that was given none."""
    raise GatewayError("this worker has no HTTP client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """How a worker reaches the outside; `sources` has the APIs of those that configure `fetch`."""

    fetch: Fetch = nobody
    sources: Mapping[str, Objects] = field(default_factory=dict)
    sleep: Sleep = asyncio.sleep


class Fetching:
    """Runs the requests of one worker's handlers. Times in seconds, deadlines in microseconds since the epoch."""

    def __init__(self, outside: Outside, now_us: Callable[[], int]) -> None:
        self._run = outside.fetch
        self._now_us = now_us
        self._sleep = outside.sleep
        self._sources = {name: _Source(objects) for name, objects in outside.sources.items()}

    async def fetch(self, event: Event, where: str | None, deadline_us: int) -> Answer:
        """Return the object that the event names, or what stands at `where` of the same API.

        Raises:
            Retry: the API asks for patience, the object is not final yet, or the run has no time left.
            NotFoundError: there is no such object.
            OutgoingError: no answer, or a refusal.
            GatewayError: the event's source has no `fetch` in the configuration.
        """
        source = self._sources.get(event.source)
        if source is None:
            raise GatewayError(f"source {event.source} has no `fetch` in the configuration")
        ask, final = source.objects.named_by(event) if where is None else (source.objects.at(event, where), None)
        pause = _FIRST_PAUSE
        while True:
            await self._turn(source, deadline_us)
            answer = await self._ask(ask, deadline_us, source=source)
            if final is None or is_final(final, answer):
                return answer
            await self._pause(pause, deadline_us, f"{_host(ask)} says it is not final yet")
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def post(self, ask: Ask, deadline_us: int) -> Answer:
        """Run a request of a handler's own; raises as `fetch` does."""
        return await self._ask(ask, deadline_us)

    async def _ask(self, ask: Ask, deadline_us: int, source: "_Source | None" = None) -> Answer:
        seconds = min(_REQUEST_SECONDS, self._left(deadline_us))
        if seconds <= 0:
            raise Retry(reason=f"no time left to ask {_host(ask)}")
        answer = await self._run(ask, seconds)
        status = answer.status
        if 200 <= status < 300:
            return answer
        told = f"{_host(ask)} answered {status}"
        if status in _PASSING or status >= 500:
            wait = retry_after(answer.headers, self._now_us())
            if source is not None and wait is not None:
                source.until_us = self._now_us() + int(wait * 1e6)
            raise Retry(after=wait, reason=told)
        if status in (404, 410):
            raise NotFoundError(told, status)
        raise AnswerError(f"{told}; redirects are not followed" if 300 <= status < 400 else told, status)

    async def _turn(self, source: "_Source", deadline_us: int) -> None:
        """Wait until the source may make one more request, and its API's pause is over."""
        host = source.objects.hosts[0]
        while True:
            asked = (source.until_us - self._now_us()) / 1e6
            wait = source.bucket.wait(asyncio.get_running_loop().time())
            if max(asked, wait) <= 0:
                break
            why = "asked for a pause" if asked > wait else "is asked no more often than `fetch.rate`"
            await self._pause(max(asked, wait), deadline_us, f"{host} {why}")
        source.bucket.take()

    async def _pause(self, seconds: float, deadline_us: int, why: str) -> None:
        """Wait within the run, or end it with a `Retry` where that would outlive it."""
        if seconds >= self._left(deadline_us):
            raise Retry(after=seconds, reason=why)
        await self._sleep(seconds)

    def _left(self, deadline_us: int) -> float:
        return (deadline_us - self._now_us()) / 1e6 - _MARGIN


class _Source:
    """What goes on at one source's API."""

    __slots__ = ("bucket", "objects", "until_us")

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.bucket = Bucket(objects.rate)
        self.until_us = 0


def _host(ask: Ask) -> str:
    return urlsplit(ask.url).hostname or "the host"
