"""The edge for tests: a source that verifies an HMAC, a log that is told when to decide, a server on a free port."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
from asyncio import Future
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.config.settings import ServerSettings
from gateway.core.admission import Admission, Events, Handshake, Rejected, Request
from gateway.core.errors import Unavailable, UnavailableReason
from gateway.core.event import Event, body_bound_digest, identity_digest
from gateway.core.outgoing import Fetch
from gateway.core.source import Ack, Source
from gateway.keep.ports import Appended, LogHealth, Position
from gateway.process.server import serve
from gateway.receive.app import Edge, EdgeOptions, SuspectOf, edge_app
from gateway.receive.pairing import Recompile

SECRET = b"a secret of the tests"
BODY = b'{"id":"evt_1","kind":"order.paid"}'


def signature(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def make_event(request: Request, event_id: str, body: bytes, *, signed: bool, index: int | None = None) -> Event:
    digest = hashlib.sha256(body).digest()
    identity = identity_digest("acme", event_id)
    return Event(
        source="acme",
        provider="custom",
        id=event_id,
        type="order.paid",
        time_us=None,
        received_us=request.received_us,
        key=event_id,
        headers={},
        body=body,
        content_type=None,
        verified_by="only",
        flags=(),
        delivery_id=request.delivery_id,
        batch_index=index,
        body_sha256=digest,
        identity=identity,
        dedupe_key=identity if signed else body_bound_digest(identity, digest),
    )


def hmac_admit(*, id_is_signed: bool = True) -> Callable[[Request, int], Admission]:
    """Verify `x-signature` over the body; ids come from `x-id`, or for a JSON array from each element's `id`."""

    def admit(request: Request, now_us: int) -> Admission:
        sent = request.headers.get(b"x-signature")
        if sent is None:
            return Rejected("signature_missing")
        if b"x-signature" in request.repeated:
            return Rejected("signature_repeated")
        if not hmac.compare_digest(sent, signature(request.body).encode()):
            return Rejected("signature_mismatch", 12.5)
        if request.body == b"challenge":
            return Handshake(Ack(body=b"answer", content_type="text/plain"), "only")
        if request.body.startswith(b"["):
            elements = json.loads(request.body)
            events = [
                make_event(request, element["id"], json.dumps(element).encode(), signed=id_is_signed, index=index)
                for index, element in enumerate(elements)
            ]
            return Events(tuple(events), "only")
        event_id = request.headers.get(b"x-id", b"evt_1").decode("latin-1")
        return Events((make_event(request, event_id, request.body, signed=id_is_signed),), "only", 0.5)

    return admit


def make_source(**over: Any) -> Source:
    signed = over.get("id_is_signed", True)
    values: dict[str, Any] = {
        "name": "acme",
        "provider": "custom",
        "methods": frozenset({"POST"}),
        "max_body": 1000,
        "deadline": 2.0,
        "dedupe_window": 86400.0,
        "on_conflict": "dead",
        "on_replay": "flag",
        "rate": None,
        "allow_ips": (),
        "content_types": (),
        "labels": ("only",),
        "id_is_signed": signed,
        "accepted": None,
        "admit": hmac_admit(id_is_signed=signed),
        "sign": None,
    }
    return Source(**(values | over))


class DecidedLog:
    """An event log whose outcomes the test decides; `automatic` decides each at the loop's next turn.

    Like the embedded one it remembers what is durable, and answers a copy of it as a duplicate.
    """

    def __init__(self, *, automatic: bool = True) -> None:
        self.automatic = automatic
        self.refuses: UnavailableReason | None = None
        self.raises: Exception | None = None
        self.appends = 0
        self.undecided: list[tuple[Event, Future[Appended]]] = []
        self.stored: list[Event] = []

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        if self.raises is not None:
            raise self.raises
        if self.refuses is not None:
            raise Unavailable(self.refuses)
        self.appends += 1
        loop = asyncio.get_running_loop()
        taken = [(event, loop.create_future()) for event in events]
        self.undecided.extend(taken)
        if self.automatic:
            loop.call_soon(self.store)
        return [future for _, future in taken]

    def store(self) -> None:
        """Make everything undecided durable."""
        taken, self.undecided = self.undecided, []
        for event, future in taken:
            duplicate = any(event.dedupe_key == kept.dedupe_key for kept in self.stored)
            differs = any(event.identity == kept.identity and event.body != kept.body for kept in self.stored)
            if not duplicate:
                self.stored.append(event)
            future.set_result(Appended(Position(0, len(self.stored)), duplicate, differs, event.flags))

    def fail(self, error: Exception) -> None:
        """Fail everything undecided."""
        taken, self.undecided = self.undecided, []
        for _, future in taken:
            future.set_exception(error)

    def health(self) -> LogHealth:
        return LogHealth(
            writable=True,
            reason=None,
            events=len(self.stored),
            bytes=0,
            oldest_seconds=0.0,
            queued_events=len(self.undecided),
            queued_bytes=0,
        )

    async def close(self) -> None:
        return


class CountingMeter:
    """Counts as the real one does, for tests to read."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def source(self, name: str) -> "CountingSourceMeter":
        return CountingSourceMeter(name, self.counts)

    def append_error(self, reason: str) -> None:
        self.counts["append_error", reason] += 1


@dataclass
class CountingSourceMeter:
    name: str
    counts: Counter[tuple[str, ...]]

    def answered(self, outcome: str, reason: str, seconds: float, body_bytes: int) -> None:
        assert seconds >= 0
        assert body_bytes >= 0
        self.counts[self.name, outcome, reason] += 1

    def verified(self, seconds: float, secret: str | None, age: float | None) -> None:
        self.counts[self.name, "verified", str(secret)] += 1

    def flagged(self, flag: str) -> None:
        self.counts[self.name, "flag", flag] += 1

    def appended(self, seconds: float) -> None:
        self.counts[self.name, "appended"] += 1

    def key_fetched(self, outcome: str) -> None:
        self.counts[self.name, "key", outcome] += 1

    def visited(self, outcome: str) -> None:
        self.counts[self.name, "visit", outcome] += 1

    def quarantine_lost(self) -> None:
        self.counts[self.name, "quarantine_lost"] += 1

    def readmitted(self, outcome: str) -> None:
        self.counts[self.name, "readmitted", outcome] += 1


@dataclass
class Response:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def word(self) -> str:
        """`accepted`, `duplicate`, or the reason of a refusal."""
        parsed = json.loads(self.body)
        return str(parsed.get("reason", parsed["status"]))


def raw_request(
    body: bytes = BODY,
    *,
    path: str = "/webhooks/acme",
    method: str = "POST",
    headers: Sequence[tuple[str, str]] | None = None,
    signed: bool = True,
    length: bool = True,
) -> bytes:
    """Return a request's bytes: valid unless a test says otherwise."""
    lines = [f"{method} {path} HTTP/1.1", "host: test"]
    if signed:
        lines.append(f"x-signature: {signature(body)}")
    if length:
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers or ()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Peer:
    """A client's connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def response(self, *, bodiless: bool = False) -> Response:
        async with asyncio.timeout(15):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = dict(line.split(": ", 1) for line in lines)
            length = 0 if bodiless else int(headers.get("content-length", "0"))
            return Response(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, data: bytes) -> Response:
        await self.send(data)
        return await self.response()

    async def ended(self) -> bytes:
        """Return what still comes until the server ends the connection."""
        async with asyncio.timeout(15):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        self.writer.close()


@dataclass
class RunningEdge:
    """An edge behind its server."""

    edge: Edge
    log: DecidedLog
    meter: CountingMeter
    port: int
    drain: asyncio.Event
    ended: "asyncio.Task[None]"
    peers: list[Peer] = field(default_factory=list)

    async def connect(self) -> Peer:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**10)
        client.setblocking(False)  # noqa: FBT003 - the standard library's signature
        try:
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        except OSError:
            client.close()
            raise
        peer = Peer(*await asyncio.open_connection(sock=client))
        self.peers.append(peer)
        return peer

    async def ask(self, data: bytes) -> Response:
        return await (await self.connect()).ask(data)

    @property
    def counts(self) -> Counter[tuple[str, ...]]:
        return self.meter.counts


def build_edge(
    log: DecidedLog,
    meter: CountingMeter,
    *sources: Source,
    fetch: Fetch | None = None,
    recompile: Recompile | None = None,
    suspect_of: SuspectOf | None = None,
    **options: Any,
) -> Edge:
    chosen = {source.name: source for source in sources or (make_source(),)}
    return edge_app(
        chosen, log, meter, options=EdgeOptions(**options), fetch=fetch, recompile=recompile, suspect_of=suspect_of
    )


@contextlib.asynccontextmanager
async def running_edge(
    *sources: Source,
    log: DecidedLog | None = None,
    settings: ServerSettings | None = None,
    others: Sequence[socket.socket] = (),
    **options: Any,
) -> AsyncIterator[RunningEdge]:
    """Serve an edge on a free port of the loopback interface, and end it in order; `others` are of other edges."""
    log, meter, drain, started = log or DecidedLog(), CountingMeter(), asyncio.Event(), asyncio.Event()
    edge = build_edge(log, meter, *sources, **options)
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 2**10)  # what is not read is soon felt
    port = bound.getsockname()[1]
    settings = settings or ServerSettings(drain=1.0)
    sockets = [bound, *others]
    serving = asyncio.create_task(serve(edge, sockets=sockets, settings=settings, drain=drain, started=started.set))
    running = RunningEdge(edge, log, meter, port, drain, serving)
    try:
        await asyncio.wait([serving, asyncio.create_task(started.wait())], return_when=asyncio.FIRST_COMPLETED)
        yield running
    finally:
        for peer in running.peers:
            peer.close()
        drain.set()
        await serving


async def until(check: Callable[[], Any], *, deadline: float = 15.0) -> None:
    """Wait until `check` is true."""
    async with asyncio.timeout(deadline):
        while not check():  # noqa: ASYNC110 - what is waited for has no event to set
            await asyncio.sleep(0.005)
