"""Reading a body: within the source's cap, the budgets for unverified bytes, and the request's deadline."""

import asyncio
import time

from starlette.types import Receive

from gateway.core.errors import Unavailable
from gateway.receive.limits import HeldBytes


class ClientGoneError(Exception):
    """The client left before its request was complete: nothing to answer, nothing happened."""


class BodyTooLargeError(Exception):
    """More came than the source takes."""


class BodyReader:
    """Reads one body in pieces; what it holds is counted under `client` until `release`."""

    __slots__ = ("_client", "_held", "_limit", "_pieces", "size")

    def __init__(self, held: HeldBytes, client: str, limit: int) -> None:
        self._held = held
        self._client = client
        self._limit = limit
        self._pieces: list[bytes] = []
        self.size = 0

    async def read(self, receive: Receive, *, until: float) -> bytes:
        """Return the whole body.

        Raises:
            ClientGoneError: it never came whole.
            BodyTooLargeError: over the cap.
            Unavailable: over a budget, or not whole at `until` (`time.monotonic`'s clock).
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + until - time.monotonic()):
                while await self._read_piece(receive):
                    pass
        except TimeoutError:
            raise Unavailable("deadline") from None
        return b"".join(self._pieces)

    async def _read_piece(self, receive: Receive) -> bool:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        if self.size + len(piece) > self._limit:
            raise BodyTooLargeError
        if not self._held.take(self._client, len(piece)):
            raise Unavailable("overloaded")
        self.size += len(piece)
        self._pieces.append(piece)
        return bool(message.get("more_body", False))

    def release(self) -> None:
        """Count the bytes as held no more."""
        self._held.give_back(self._client, self.size)
