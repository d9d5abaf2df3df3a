"""One request and its answer, as the server keeps them; with `protocol`, all that knows uvicorn's internals."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.receive import responses
from gateway.receive.responses import Reply

if TYPE_CHECKING:
    from gateway.process.protocol import GatewayProtocol

log = logging.getLogger("gateway.process")

_NO_HEADERS: list[tuple[bytes, bytes]] = []


class RefusedByServer(Protocol):
    """Told of what the server itself refuses (`Endpoint.refused_by_server`); returns the delivery's id."""

    def __call__(self, reason: str, reply: Reply, *, client: str, arrival: tuple[float, int]) -> bytes:
        """Count it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may take; times in seconds, sizes in bytes.

    Attributes:
        connections: open at a time; further ones are answered 503.
        request: from a request's first byte until its head is complete.
        backstop: from a request's first byte until its connection is cut, whatever it waits for.
        idle: an open connection without a request.
        head_bytes: request target, header names and values together.
        head_count: headers of one request.
    """

    connections: int = 4096
    request: float = 2.5
    backstop: float = 10.0
    idle: float = 5.0
    head_bytes: int = 32 * 2**10
    head_count: int = 128


class Desk:
    """What all connections of one server share.

    Attributes:
        room: how many connections were ended for others that have not come yet.
    """

    def __init__(self, app: ASGIApp, limits: Limits, refused: RefusedByServer) -> None:
        self.app = app
        self.limits = limits
        self.refused = refused
        self.room = 0
        self.empty = asyncio.Event()
        self.empty.set()


class Exchange(RequestResponseCycle):
    """One request and its answer; the `Arrival` that the edge's endpoint sees."""

    def __init__(self, protocol: "GatewayProtocol", *, keep_alive: bool) -> None:
        super().__init__(
            scope=protocol.scope,
            transport=protocol.transport,
            flow=protocol.flow,
            logger=protocol.logger,
            access_logger=protocol.access_logger,
            access_log=False,
            default_headers=_NO_HEADERS,
            message_event=asyncio.Event(),
            expect_100_continue=protocol.expect_100_continue,
            keep_alive=keep_alive,
            on_response=protocol.on_response_complete,
        )
        self.first_byte = protocol.first_byte
        self.received_us = protocol.received_us
        self.task: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp, tasks: set[asyncio.Task[None]]) -> None:
        """Run the application to its end. Where uvicorn would say 500, the answer is 503."""
        try:
            await app(cast("Scope", self.scope), cast("Receive", self.receive), cast("Send", self.send))
        except Exception as error:  # noqa: BLE001 - the server's top: nothing an application does may end it
            log.error("application.failed", extra={"error": type(error).__name__})  # noqa: TRY400 - its text may hold a secret
        finally:
            self._finished()
            tasks.discard(cast("asyncio.Task[None]", self.task))

    def _finished(self) -> None:
        if self.response_started and not self.response_complete:
            self.transport.abort()
        elif not self.disconnected:
            self.answer(responses.UNAVAILABLE_CLOSING, b"-")
        self.scope.pop("state", None)  # else scope and exchange keep each other alive

    def answer(self, reply: Reply, delivery_id: bytes) -> bool:
        """Write the whole answer at once. A peer that is gone is no error."""
        if self.disconnected or self.response_complete:
            return True
        if reply.close or self.waiting_for_100_continue:
            self.keep_alive = False  # an announced body that was never asked for would be read as the next request
        self.response_started = self.response_complete = True
        bodiless = self.scope["method"] == "HEAD"
        self.transport.write(reply.encode(delivery_id, keep=self.keep_alive, bodiless=bodiless))
        self.on_response()
        return True

    def drop(self) -> None:
        """Let the application see a disconnect; nothing it sends goes out any more."""
        self.disconnected = True
        self.message_event.set()
