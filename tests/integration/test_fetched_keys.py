"""Keys over real HTTPS: a host that answers, hangs, floods, redirects or talks nonsense, and what senders see of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.outgoing import Ask
from gateway.outgoing import Client
from gateway.receive.app import Edge
from tests.asgi import call
from tests.edge import CountingMeter, DecidedLog, build_edge, until
from tests.https_rig import Answering, Heard, Server, always, reply, serving, trusting
from tests.outside import keyed_source


@asynccontextmanager
async def edge_at(
    answer: Answering, meter: CountingMeter, *, deadline: float = 10.0
) -> AsyncIterator[tuple[Edge, Server]]:
    """An edge whose source gets its keys from a host that answers so."""
    async with serving(answer) as server:
        client = Client(context=trusting(), resolver=server.resolve)
        source = keyed_source(deadline=deadline, key_request=lambda ref: Ask(url=server.url("/jwks"), private=True))
        edge = build_edge(DecidedLog(), meter, source, fetch=client.fetch)
        try:
            yield edge, server
        finally:
            await edge._errands.close()
            await client.close()


async def test_a_key_is_fetched_once_over_https():
    meter = CountingMeter()
    async with edge_at(always(body=b"one", cache_control="max-age=600"), meter) as (edge, server):
        answered = [await call(edge) for _ in range(3)]

    assert {made.status for made in answered} == {200}
    assert [heard.target for heard in server.heard] == ["/jwks"]


async def _floods(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def _talks_nonsense(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff nonsense\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    "answer,outcome",
    [
        pytest.param(_floods, "failed", id="endless"),
        pytest.param(_talks_nonsense, "failed", id="nonsense"),
        pytest.param(always(302, b"one", location="https://api.example.com/other"), "unusable", id="redirecting"),
        pytest.param(always(503, b"one"), "unusable", id="failing"),
        pytest.param(always(200, b"<html>"), "unusable", id="an error page"),
    ],
)
async def test_a_host_that_gives_no_key_is_answered_503_and_asked_once(answer, outcome):
    meter = CountingMeter()
    async with edge_at(answer, meter) as (edge, server):
        answered = [await call(edge) for _ in range(3)]

    assert {(made.status, made.word) for made in answered} == {(503, "unavailable")}
    assert meter.counts["acme", "key", outcome] == 1
    assert len(server.heard) == 1


async def test_a_host_that_hangs_holds_nobody_beyond_the_deadline_and_may_answer_late():
    meter, late = CountingMeter(), asyncio.Event()

    async def hangs(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await late.wait()
        writer.write(reply(body=b"one"))

    async with edge_at(hangs, meter, deadline=0.05) as (edge, _):
        waited = await call(edge)
        late.set()
        await until(lambda: meter.counts["acme", "key", "fetched"])
        found = edge._entrances["acme"].keys

    assert waited.status == 503
    assert found is not None
    assert list(found) == ["https://keys.example/jwks"]
