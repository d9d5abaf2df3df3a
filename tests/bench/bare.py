"""The yardstick: an ASGI function that reads the body and answers 200, on the server the gateway uses.

`python -m tests.bench.bare PORT` serves until it is ended.
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvloop
from gateway.process.server import serve

from gateway.config.settings import ServerSettings

Message = MutableMapping[str, Any]


async def bare(
    _: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def main(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    await serve(bare, sockets=[listening], settings=ServerSettings(port=port), drain=asyncio.Event())


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
