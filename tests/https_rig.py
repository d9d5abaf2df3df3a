"""A server of other people's: speaks HTTP over TLS with a certificate of its own, and answers as a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import cast

import trustme

HOST = "api.example.com"


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


# Ends by closing the connection, or returns for the next request.
Answering = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the authority of the rig."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@dataclass(slots=True)
class Server:
    """What was heard, by request and by connection."""

    port: int
    scheme: str
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    address: str = "127.0.0.1"

    def url(self, path: str = "/", host: str = HOST) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Find every host here."""
        return [self.address]


@asynccontextmanager
async def serving(answer: Answering, *, names: Sequence[str] = (HOST,), tls: bool = True) -> AsyncIterator[Server]:
    """Serve on a free port until the block ends; `names` are those of the certificate."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert(*names).configure_cert(context)
    server = Server(0, "https" if tls else "http")
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        conversations.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            while (heard := await _read(reader)) is not None:
                server.heard.append(heard)
                await answer(heard, writer)
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations)


async def _read(reader: asyncio.StreamReader) -> Heard | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Heard(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer's bytes; `_` in a header's name stands for a dash."""
    lines = [f"HTTP/1.1 {status} Anything", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def always(status: int = 200, body: bytes = b"", **headers: str) -> Answering:
    """Answer every request alike."""

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(status, body, **headers))
        await writer.drain()

    return answer
