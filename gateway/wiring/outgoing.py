"""The HTTP client of a process, made at its first request: one that never asks anybody does not pay for it."""

import asyncio
import importlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

from gateway.config.installed import PROVIDERS
from gateway.config.settings import Settings, SourceSettings
from gateway.core.objects import ObjectApi, Objects
from gateway.core.outgoing import Answer, Ask
from gateway.handle.fetching import Outside

if TYPE_CHECKING:
    from gateway.outgoing import Client


class Outgoing:
    """Runs requests; `fetch` is a `gateway.core.outgoing.Fetch`."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._making = asyncio.Lock()

    async def fetch(self, ask: Ask, seconds: float) -> Answer:
        """Run one request within `seconds`.

        Raises:
            OutgoingError: there is no answer, or none that may be taken.
        """
        if self._client is None:
            async with self._making:
                if self._client is None:  # imports and the system's certificates are read from the disk
                    self._client = await asyncio.to_thread(_client)
        return await self._client.fetch(ask, seconds)

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        if self._client is not None:
            await self._client.close()


def _client() -> "Client":
    return cast("Client", importlib.import_module("gateway.outgoing").Client())


def outside_of(settings: Settings, held: AsyncExitStack) -> Outside:
    """Return what a worker's handlers may ask of others; the client is closed with `held`."""
    outgoing = Outgoing()
    held.push_async_callback(outgoing.close)
    asked = [(source, source.fetch) for source in settings.sources if source.fetch is not None]
    return Outside(
        fetch=outgoing.fetch,
        sources={source.name: Objects(_api(source), options) for source, options in asked},
    )


def _api(source: SourceSettings) -> ObjectApi:
    known = None if source.provider == "custom" else PROVIDERS[source.provider].object_api
    return known or ObjectApi()
