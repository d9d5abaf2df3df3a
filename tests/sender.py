"""A sender for tests: signs as a provider does, keeps its connection, and writes down every answer."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

STRIPE_SECRET = "whsec_for_tests_only"  # the gateway under test is configured with it
GITHUB_SECRET = "github secret for tests only"


@dataclass(frozen=True)
class Answer:
    """What the gateway said; `status` 0 means that the connection broke before an answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def acknowledged(self) -> bool:
        return 200 <= self.status < 300


def stripe_body(event_id: str, *, kind: str = "invoice.paid", key: str = "in_1", filler: int = 0) -> bytes:
    return json.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": kind,
            "created": int(time.time()),
            "data": {"object": {"id": key, "amount_paid": 4200, "filler": "x" * filler}},
        }
    ).encode()


def stripe_headers(body: bytes, *, secret: str = STRIPE_SECRET, at: float | None = None) -> dict[str, str]:
    stamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "stripe-signature": f"t={stamp},v1={digest}"}


def github_headers(body: bytes, delivery: str, *, event: str = "push", secret: str = GITHUB_SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": f"sha256={digest}",
    }


class Connection:
    """One kept connection; reconnects when it is broken."""

    def __init__(self, port: int, *, deadline: float = 15.0) -> None:
        self._port = port
        self._deadline = deadline
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send and wait; a broken connection is an answer with status 0, never an exception."""
        lines = [f"POST {path} HTTP/1.1", "host: gateway.test", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            async with asyncio.timeout(self._deadline):
                return await self._exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return Answer(0)

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(head[0].split(" ")[1]), headers, body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
