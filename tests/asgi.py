"""The edge by ASGI calls alone, below a server that is not ours."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.receive.app import Edge
from tests.edge import BODY, signature


class Call:
    """One ASGI call and what it answered."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def word(self) -> str:
        parsed = json.loads(self.body)
        return str(parsed.get("reason", parsed["status"]))


async def call(
    edge: Edge,
    pieces: Sequence[bytes] = (BODY,),
    *,
    headers: Sequence[tuple[bytes, bytes]] | None = None,
    path: str = "/webhooks/acme",
    method: str = "POST",
    client: tuple[str, int] | None = ("192.0.2.1", 1),
    gone: bool = False,
) -> Call:
    """Call the edge: by default with a valid delivery."""
    signed = [(b"x-signature", signature(b"".join(pieces)).encode())]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": list(signed if headers is None else headers),
        "client": client,
    }
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": gone or index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    made = Call()

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    await edge.app(scope, receive, made.send)
    return made
