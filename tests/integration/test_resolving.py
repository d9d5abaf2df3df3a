"""Names as the system resolves them: what it cannot, and what it takes its time for."""

import asyncio
import socket
import threading

import pytest

from gateway.core.outgoing import Ask, OutgoingError
from gateway.outgoing import Client
from tests.edge import until
from tests.https_rig import trusting

LONG = 30.0


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
async def test_a_name_that_no_host_can_have_is_a_failure_like_any_other(host):
    client = Client(context=trusting())

    with pytest.raises(OutgoingError, match=f"^{host}: its name cannot be resolved$"):
        await client.fetch(Ask(url=f"https://{host}/"), LONG)

    await client.close()


async def test_a_system_that_does_not_resolve_holds_up_nothing_else_that_blocks(monkeypatch):
    resolved, begun = threading.Event(), threading.Event()

    def hangs(*_: object, **__: object) -> list[object]:
        begun.set()
        resolved.wait(LONG)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    client = Client(context=trusting())
    asking = [asyncio.create_task(client.fetch(Ask(url=f"https://{n}.example/"), LONG)) for n in range(64)]
    try:
        await until(begun.is_set)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), LONG / 2) == "done"
    finally:
        resolved.set()
        await asyncio.gather(*asking, return_exceptions=True)
        await client.close()
