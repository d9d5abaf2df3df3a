"""What strangers can take by naming keys: bytes that wait for one, and fetches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.receive.app import Edge
from tests.asgi import Call, call
from tests.edge import BODY, CountingMeter, DecidedLog, build_edge, signature, until
from tests.outside import Host, answer, keyed_source

JWKS = "https://keys.example/jwks"


@asynccontextmanager
async def keyed_edge(host: Host, meter: CountingMeter, **options: Any) -> AsyncIterator[Edge]:
    edge = build_edge(DecidedLog(), meter, keyed_source(), fetch=host.fetch, **options)
    try:
        yield edge
    finally:
        host.open.set()
        await edge._errands.close()


async def deliver(edge: Edge, client: str, *, ref: str = JWKS) -> Call:
    headers = [(b"x-signature", signature(BODY).encode()), (b"x-ref", ref.encode()), (b"x-key", b"one")]
    return await call(edge, headers=headers, client=(client, 1))


async def test_bodies_that_wait_for_a_key_count_as_held_until_they_are_decided():
    """Whoever names a key that is slow to come would else keep any number of unverified bodies here."""
    host, meter = Host({JWKS: answer(b"one,two")}), CountingMeter()
    async with keyed_edge(host, meter, max_buffered=2 * len(BODY)) as edge:
        host.open.clear()
        sent = [asyncio.create_task(deliver(edge, f"192.0.2.{number}")) for number in range(5)]
        await until(lambda: sum(task.done() for task in sent) == 3)

        assert {task.result().status for task in sent if task.done()} == {503}
        assert edge._equipment.held.total == 2 * len(BODY)
        host.open.set()
        assert [(await task).status for task in sent] == [200, 200, 503, 503, 503]
        assert edge._equipment.held.total == 0


async def test_some_addresses_that_name_keys_in_masses_do_not_keep_the_provider_from_its_own():
    host, meter = Host({JWKS: answer(b"one,two")}), CountingMeter()
    async with keyed_edge(host, meter) as edge:
        for number in range(30):
            await deliver(edge, f"198.51.100.{number % 5}", ref=f"https://keys.example/{number}")

        assert meter.counts["acme", "key", "limited"] > 0
        assert (await deliver(edge, "192.0.2.9")).status == 200
