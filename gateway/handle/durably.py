"""Writes that must become durable, however long the disk stays full."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.core.errors import Unavailable

log = logging.getLogger("gateway.handle")

T = TypeVar("T")

# How soon to try again what the store could not take, in seconds. It is our failure, so it costs no attempt.
STORE_PAUSE = 1.0


async def durably(write: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `write` once it is durable; while the store cannot take it, try again and again.

    Raises:
        PoisonedError: the store is lost.
    """
    while True:
        try:
            return await write()
        except Unavailable as error:
            log.warning("store.unavailable", extra={"reason": error.reason})
            await asyncio.sleep(STORE_PAUSE)
