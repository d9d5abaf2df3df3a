"""The yardstick: an ASGI function that reads the body and answers 200, on the server the gateway uses.

`python -m tests.bench.bare PORT` serves until it is ended.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvloop

from gateway.process.exchange import Desk, Limits
from gateway.process.server import serve_desk

Message = MutableMapping[str, Any]


async def bare(
    _: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def main(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    desk = Desk(bare, Limits(), refused=lambda *_, **__: b"")
    await serve_desk(desk, [listening], asyncio.Event(), grace=1.0)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
