"""The HTTP/1.1 protocol of the gateway: uvicorn's on httptools, with what it leaves open closed.

Stock uvicorn keeps half a request open for ever, takes any amount of headers, and answers garbage in the middle of a
pipeline before the requests ahead of it. Here every connection has an absolute deadline, from the first byte of each
request; heads have caps; refusals come in turn; and a connection that ends early lingers, so that the peer can read
the answer before a reset destroys it.

This module and `exchange` alone know uvicorn's internals (it is pinned; `test_server_protocol.py` has the canary).
"""

import asyncio
import heapq
import logging
import math
import time
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.process.exchange import Desk, Exchange
from gateway.receive import responses
from gateway.receive.arrival import STATE_KEY
from gateway.receive.responses import Reply

log = logging.getLogger("gateway.process")


# A peer that announced too much is heard out for this long, so that it reads the answer instead of a reset.
_LINGER_SECONDS = 1.0
# Beyond `connections`, so many more are told 503; further ones are cut off.
_TURNED_AWAY_AT_ONCE = 256
# With all connections taken, one whose request is not whole after this many seconds gives way to a new one.
_PATIENCE_WHEN_FULL = 0.5
_ENDED_AT_ONCE = 32
_FEED_BYTES = 32 * 2**10
_PIPELINED = 16


class _SurplusError(Exception):
    """A request after the connection's last one: not heard."""


class _FaultError(Exception):
    """This request cannot be taken; `reply` says why."""

    def __init__(self, reason: str, reply: Reply) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class GatewayProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: Exchange | None  # type: ignore[assignment]  # uvicorn types it without the None it starts with

    def __init__(self, config: Config, server_state: ServerState, desk: Desk) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self._desk = desk
        self._limits = desk.limits
        self._current: Exchange | None = None  # started, not answered
        self.first_byte = self._idle_since = time.monotonic()
        self.received_us = 0
        self._in_message = False  # between a request's first byte and its last
        self._in_head = False
        self._unparsed = 0  # bytes fed since the body last grew, or a message ended
        self._fed = 0
        self._last = False  # the request at hand is this connection's last
        self._last_words: tuple[str, Reply] | None = None  # a refusal that waits for the answers before it
        self._deaf_until: float | None = None  # nothing is parsed any more

    # The transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turn away what is over the limit before it costs anything."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._desk.empty.clear()
        excess = len(self.connections) - self._limits.connections
        if excess <= 0 or self._make_room():
            return
        if excess > _TURNED_AWAY_AT_ONCE:
            self.transport.abort()
        else:
            self._note_first_byte()
            self._refuse("overloaded", responses.UNAVAILABLE_CLOSING)

    def _make_room(self) -> bool:
        """End the connections that have kept us waiting for longest, a few at a time; return whether there was one.

        Else a single stranger with half requests could have every genuine delivery turned away.
        """
        if self._desk.room:
            self._desk.room -= 1
            return True
        before = time.monotonic() - _PATIENCE_WHEN_FULL
        waiting = [
            other
            for other in self.connections
            if other is not self and isinstance(other, GatewayProtocol) and other.awaited_since() < before
        ]
        slowest = heapq.nsmallest(_ENDED_AT_ONCE, waiting, key=GatewayProtocol.awaited_since)
        for other in slowest:
            other.transport.abort()
        self._desk.room = max(len(slowest) - 1, 0)
        return bool(slowest)

    def awaited_since(self) -> float:
        """Return since when the peer has not sent a whole request; infinity if it is not the peer who is awaited."""
        unfinished = self._in_message and self._current is self.cycle
        if self.transport.is_closing() or not (self._current is None or unfinished):
            return math.inf
        return self.first_byte if self._in_message else self._idle_since

    def connection_lost(self, exc: Exception | None) -> None:
        """Let what runs know; what waits in the pipeline was never begun."""
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._current is not None:
            self._current.drop()
        if not self.connections:
            self._desk.empty.set()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn narrows asyncio's return to None
        """Keep a half-closed connection open until its whole request is answered."""
        if self._current is None or self._in_message or self.scheme == "https":
            return None
        self.shutdown()
        return True

    def data_received(self, data: bytes) -> None:
        """Parse, in slices, so that the cap on heads is never overrun by more than one."""
        if len(data) <= _FEED_BYTES:
            self._feed(data)
            return
        whole = memoryview(data)
        for start in range(0, len(data), _FEED_BYTES):
            self._feed(whole[start : start + _FEED_BYTES])

    def _feed(self, data: bytes | memoryview) -> None:
        if self._deaf_until is not None or self._last_words is not None or (self._last and not self._in_message):
            return
        self._fed = len(data)
        self._unparsed += self._fed
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError as error:
            self._parse_failed(error.__context__)
        else:
            if self._unparsed > 2 * self._limits.head_bytes:
                self._refuse("too_large", responses.TOO_LARGE)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the request again without its Upgrade header (RFC 9110, section 7.8, allows a server to ignore it).

        Java's client asks for h2c on every plain connection, and the parser would take the body for another protocol.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse("malformed", responses.MALFORMED)
            return
        kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        arrived = self.first_byte, self.received_us
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"%s %s HTTP/1.1\r\n%s\r\n" % (method, self.url, b"".join(kept)) + rest)
        if self.cycle is not None:
            self.cycle.first_byte, self.cycle.received_us = arrived

    def _parse_failed(self, cause: BaseException | None) -> None:
        if isinstance(cause, _SurplusError):
            self._last = True
        elif isinstance(cause, _FaultError):
            self._refuse(cause.reason, cause.reply)
        else:
            self._refuse("malformed", responses.MALFORMED)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """Note when the request's first byte came."""
        if self._last or not (self.cycle is None or self.cycle.keep_alive):
            raise _SurplusError
        super().on_message_begin()
        self._note_first_byte()
        self._in_message = self._in_head = True
        self._unparsed = self._fed

    def _note_first_byte(self) -> None:
        self.first_byte = time.monotonic()
        self.received_us = time.time_ns() // 1000

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped, since nothing of ours reads them and they must not join the headers."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind the one being answered."""
        self._check_head()
        if self.parser.should_upgrade():
            return
        version = self._fill_scope()
        keep_alive = version == "1.1" and self.parser.should_keep_alive() and not self._last
        exchange = self.cycle = Exchange(self, keep_alive=keep_alive)
        self.scope["state"] = {STATE_KEY: exchange}
        self._in_head = False
        if self._current is None:
            self._start(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, cast("Any", self._desk.app)))

    def _check_head(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            raise _FaultError("overloaded", responses.UNAVAILABLE_CLOSING)
        too_many = len(self.headers) > self._limits.head_count
        # What was fed bounds the head from above, so that the exact sum is seldom needed.
        if too_many or (self._unparsed > self._limits.head_bytes and self._head_bytes() > self._limits.head_bytes):
            raise _FaultError("too_large", responses.TOO_LARGE)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _fill_scope(self) -> str:
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        version: str = self.parser.get_http_version()
        scope = self.scope
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = target.path
        scope["query_string"] = target.query or b""
        return version

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        exchange.task = self.loop.create_task(exchange.run(self._desk.app, self.tasks))
        self.tasks.add(exchange.task)

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of the body; what comes after an answer is dropped."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the request's last byte; one that asks for an upgrade comes again."""
        if self._in_head:
            return
        self._in_message = False
        self._unparsed = 0
        super().on_message_complete()

    # How requests and connections end

    def on_response_complete(self) -> None:
        """Go on with the next request, or end the connection; called when an answer is written."""
        answered, self._current = self._current, None
        self._idle_since = time.monotonic()
        if answered is None or not answered.keep_alive:
            self._end()
        elif self.flow.write_paused:
            self.transport.abort()  # a peer that sends on and on but never reads
        elif self.pipeline:
            self._start(cast("Exchange", self.pipeline.pop()[0]))
        elif self._last_words is not None:
            self._say(*self._last_words)
        else:
            self.flow.resume_reading()

    def _refuse(self, reason: str, reply: Reply) -> None:
        """Refuse the message at hand, after the answers that are due before it."""
        if self._in_message and not self._in_head:  # its body went wrong
            self._in_message = False
            broken = self.cycle
            if broken is None or broken.response_complete:
                self._end()
                return
            broken.drop()
            if self._current is broken:
                self._current = None
            else:
                self.pipeline.popleft()
        if self._current is None:
            self._say(reason, reply)
        else:
            self._last_words = (reason, reply)

    def _say(self, reason: str, reply: Reply) -> None:
        peer = self.client[0] if self.client else ""
        delivery_id = self._desk.refused(reason, reply, client=peer, arrival=(self.first_byte, self.received_us))
        self.transport.write(reply.encode(delivery_id, keep=False))
        self._linger()

    def _end(self) -> None:
        """Close at once if everything was read, else linger."""
        if self._in_message or self.pipeline or self.flow.read_paused or self._last_words is not None:
            self.pipeline.clear()
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Send what is written, then hear the peer out: closing over unread bytes would reset the answer away."""
        self._deaf_until = time.monotonic() + _LINGER_SECONDS
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def shutdown(self) -> None:
        """Make the request at hand the last one; an idle connection ends now."""
        self._last = True
        if self._current is None and not self._in_message:
            self.transport.close()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def sweep(self, now: float) -> None:
        """Act on what is overdue; called several times a second with `time.monotonic`."""
        if self._deaf_until is not None:
            overdue = now >= self._deaf_until
        elif self._current is not None:
            overdue = now - self._current.first_byte >= self._limits.backstop
        else:
            overdue = self.transport.is_closing() and now - self._idle_since >= self._limits.backstop
        if overdue:
            self.transport.abort()
        elif self._deaf_until is None and self._current is None and not self.transport.is_closing():
            self._sweep_waiting(now)

    def _sweep_waiting(self, now: float) -> None:
        if not self._in_message:
            if now - self._idle_since >= self._limits.idle:
                self.transport.close()
        elif now - self.first_byte >= self._limits.request:
            if self._in_head:
                self._refuse("deadline", responses.UNAVAILABLE_CLOSING)
            else:
                self.transport.close()  # answered long ago; the rest of the body is not waited for
