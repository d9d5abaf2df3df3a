"""A server whose connections are all taken: who gives way, and who does not."""

import pytest

from gateway.config.settings import ServerSettings
from gateway.process import protocol
from tests.edge import DecidedLog, make_source, raw_request, running_edge, until

PATIENT = make_source(deadline=60.0)


@pytest.mark.parametrize("half", [raw_request()[:20], raw_request()[:-1]], ids=["half a head", "half a body"])
async def test_half_requests_that_take_all_connections_give_way_to_a_whole_one(half, monkeypatch):
    monkeypatch.setattr(protocol, "_PATIENCE_WHEN_FULL", 0.0)
    async with running_edge(PATIENT, settings=ServerSettings(max_connections=3, drain=1.0)) as running:
        for _ in range(3):
            await (await running.connect()).send(half)

        peer = await running.connect()

        assert (await peer.ask(raw_request())).status == 200


async def test_connections_that_wait_for_us_never_give_way(monkeypatch):
    monkeypatch.setattr(protocol, "_PATIENCE_WHEN_FULL", 0.0)
    log = DecidedLog(automatic=False)
    settings = ServerSettings(max_connections=2, drain=1.0)
    async with running_edge(PATIENT, log=log, settings=settings) as running:
        peers = [await running.connect() for _ in range(2)]
        for number, peer in enumerate(peers):
            await peer.send(raw_request(headers=[("x-id", str(number))]))
        await until(lambda: len(log.undecided) == 2)

        turned_away = await (await running.connect()).response()
        log.store()

        assert turned_away.status == 503
        assert [(await peer.response()).status for peer in peers] == [200, 200]
