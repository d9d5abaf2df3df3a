"""What the edge fetches, for its tests: a host that answers as it is told, a scheme of fetched keys, one that pairs."""

import asyncio
import hmac
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.outgoing import Answer, Ask, OutgoingError
from gateway.core.source import Ack, Secret, Source
from gateway.receive.app import Edge
from tests.edge import build_edge, make_event, make_source, signature


def answer(body: bytes = b"{}", status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@dataclass
class Host:
    """The outside: `fetch` counts each request, waits for `open`, and answers from `answers`, else with a failure."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def fetch(self, ask: Ask, seconds: float) -> Answer:
        assert seconds > 0
        self.asked[ask.url] += 1
        self.running += 1
        try:
            await self.open.wait()
            if ask.url not in self.answers:
                raise OutgoingError("keys.example: no connection")
            return self.answers[ask.url]
        finally:
            self.running -= 1


def keyed_admit(request: Request, now_us: int) -> Admission:
    """The key that `x-key` names must be the body's; a document is a list of them. `x-ref` names the document."""
    ref = request.headers.get(b"x-ref", b"https://keys.example/jwks").decode()
    document = request.keys.get(ref)
    if document is None or request.headers.get(b"x-key", b"one") not in document.split(b","):
        return NeedsKey(ref)
    if not hmac.compare_digest(request.headers.get(b"x-signature", b""), signature(request.body).encode()):
        return Rejected("signature_mismatch")
    event_id = request.headers.get(b"x-id", b"evt_1").decode("latin-1")
    return Events((make_event(request, event_id, request.body, signed=True),), "fetched")


def keyed_source(**over: Any) -> Source:
    return make_source(
        **{"admit": keyed_admit, "key_request": lambda ref: Ask(url=ref), "labels": ("fetched",), **over}
    )


def pairing_source(name: str = "acme", secrets: tuple[Secret, ...] = (), **over: Any) -> Source:
    """A source whose provider sends its secret in `x-hook-secret`, and signs with it afterwards."""

    def admit(request: Request, now_us: int) -> Admission:
        if offered := request.headers.get(b"x-hook-secret"):
            return Handshake(Ack(headers=(("x-hook-secret", offered.decode("latin-1")),)), pairing=offered.decode())
        sent = request.headers.get(b"x-signature", b"")
        for secret in secrets:
            if hmac.compare_digest(sent, secret.text.encode()):
                return Events((make_event(request, "evt_1", request.body, signed=True),), secret.label)
        return Rejected("signature_mismatch")

    return make_source(**{"name": name, "admit": admit, "pairs": True, "labels": (), **over})


def recompile(name: str, secrets: tuple[Secret, ...]) -> Source:
    for secret in secrets:
        if secret.text.startswith("unfit"):
            raise ValueError("secret 'paired' is of another kind")
    return pairing_source(name, secrets)


def visit_admit(request: Request, now_us: int) -> Admission:
    """A signed challenge that asks for a visit to the URL in its body."""
    if request.headers.get(b"x-signature") != signature(request.body).encode():
        return Rejected("signature_mismatch")
    return Handshake(Ack(), "only", visit=request.body.decode())


@asynccontextmanager
async def housed(*arguments: Any, **options: Any) -> AsyncIterator[Edge]:
    """An edge with its house kept, ended in order."""
    edge = build_edge(*arguments, **options)
    house = asyncio.create_task(edge.keep_house())
    try:
        yield edge
    finally:
        house.cancel()
        await asyncio.gather(house, return_exceptions=True)


def secret_signature(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-signature", secret.encode())]
