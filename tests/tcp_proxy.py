"""A proxy that breaks connections as networks do. It runs in a thread of its own, so a busy test does not slow it."""

import asyncio
import struct
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from deploy.local.processes import free_ports

_HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_DEADLINE = 30.0
PRODUCE = 0  # Kafka's numbers of requests
FETCH = 1
OFFSET_COMMIT = 8


class Frames:
    """Follows a stream of frames with their length in front in four bytes; keeps no more than a frame's beginning."""

    def __init__(self, head: int) -> None:
        self._size = 4 + head
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the first bytes of each frame, once they are there."""
        while data:
            if self._left:
                skipped = min(self._left, len(data))
                data, self._left = data[skipped:], self._left - skipped
                continue
            taken = self._size - len(self._head)
            self._head, data = self._head + data[:taken], data[taken:]
            if len(self._head) == self._size:
                yield self._head[4:]
                self._left = max(struct.unpack("!i", self._head[:4])[0] - self._size + 4, 0)
                self._head = b""


@dataclass
class _Connection:
    """A client, its way to the server, and the requests whose answers are to be lost."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    requests: Frames = field(default_factory=lambda: Frames(8))  # Kafka's: key, version, correlation id
    answers: Frames = field(default_factory=lambda: Frames(4))  # correlation id
    doomed: set[bytes] = field(default_factory=set)

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class TcpProxy:
    """Passes on what comes to `port` (None: any) to the port `target`. A context manager.

    `pass_on`, `delay`, `swallow`, `swallow_answers` and `refuse` hold for open and new connections alike, until another
    of them is chosen. `cut_after` and `lose_answer` break one connection, once.
    """

    def __init__(self, target: int, *, port: int | None = None) -> None:
        self.target = target
        self.port = port or free_ports(1)[0]
        self.accepted = 0
        self.cuts = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any], _Connection] = {}
        self._delay = 0.0
        self._swallow = (False, False)
        self._bytes_left: int | None = None
        self._lost_answer: int | None = None

    @property
    def bootstrap(self) -> str:
        return f"{_HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_DEADLINE)
        self._loop.close()

    def pass_on(self) -> None:
        """Pass on everything at once. Connections that have lost something are cut, as they could not go on."""
        self._bytes_left = self._lost_answer = None
        self._call(self._choose())

    def delay(self, seconds: float) -> None:
        """Pass on each piece, in both directions, that much later."""
        self._call(self._choose(delay=seconds))

    def swallow(self) -> None:
        """Accept connections and what comes over them, and pass nothing on: a black hole."""
        self._call(self._choose(swallow=(True, True)))

    def swallow_answers(self) -> None:
        """Let the server hear everything, and the client nothing."""
        self._call(self._choose(swallow=(False, True)))

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones as a host without the server does."""
        self._call(self._choose(listening=False))

    def cut(self) -> None:
        """Cut all connections that are open now."""
        self._call(self._cut())

    def cut_after(self, answered: int) -> None:
        """Let that many further bytes of answers pass, counted over all connections; cut the one with the next byte."""
        self._bytes_left = answered

    def lose_answer(self, api_key: int = PRODUCE) -> None:
        """Cut the connection on which the answer to the next such request of Kafka's comes, before that answer passes.

        The broker has done what it was asked then, and its client cannot know.
        """
        self._lost_answer = api_key

    async def _choose(
        self, *, listening: bool = True, delay: float = 0.0, swallow: tuple[bool, bool] = (False, False)
    ) -> None:
        lossy = any(self._swallow) and swallow != self._swallow
        self._delay, self._swallow = delay, swallow
        if lossy or not listening:
            await self._cut()
        if listening and self._listener is None:
            self._listener = await asyncio.start_server(self._serve, _HOST, self.port)
        elif not listening and self._listener is not None:
            await self._stop_listening(self._listener)

    async def _stop_listening(self, listener: asyncio.Server) -> None:
        self._listener = None
        for socket in listener.sockets:
            self._loop.remove_reader(socket.fileno())
        await asyncio.sleep(0)  # asyncio forgets a connection that it is just accepting when the listener closes
        listener.close()

    async def _cut(self) -> None:
        for connection in list(self._connections.values()):
            connection.abort()

    async def _end(self) -> None:
        await self._choose(listening=False)
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            answers, server = await asyncio.open_connection(_HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, server)
        if self._listener is None:  # since it was accepted
            connection.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(reader, connection))
                both.create_task(self._answers(answers, connection))
        except* OSError:
            pass  # one side is gone, and takes the other with it
        finally:
            connection.abort()
            del self._connections[task]

    async def _requests(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while data := await reader.read(_CHUNK):
            for head in connection.requests.feed(data):
                if int.from_bytes(head[:2], signed=True) == self._lost_answer:
                    connection.doomed.add(head[4:])
            if self._delay:
                await asyncio.sleep(self._delay)
            if not self._swallow[0]:
                connection.server.write(data)
                await connection.server.drain()
        connection.server.write_eof()

    async def _answers(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        while data := await reader.read(_CHUNK):
            allowed = self._allowed(data, connection)
            if self._delay:
                await asyncio.sleep(self._delay)
            if not self._swallow[1]:
                connection.client.write(data[:allowed])
                await connection.client.drain()
            if allowed < len(data):
                self.cuts += 1
                connection.client.close()
                connection.server.transport.abort()
                return
        connection.client.write_eof()

    def _allowed(self, data: bytes, connection: _Connection) -> int:
        """Return how many of these bytes of answers may pass; fewer than all: the connection is to be cut then."""
        found = set(connection.answers.feed(data)) & connection.doomed
        connection.doomed -= found
        if found and self._lost_answer is not None:
            self._lost_answer = None
            return 0
        if self._bytes_left is None:
            return len(data)
        allowed = min(self._bytes_left, len(data))
        self._bytes_left = None if allowed < len(data) else self._bytes_left - allowed
        return allowed

    def _call(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(_DEADLINE)
