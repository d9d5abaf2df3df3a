"""The ack and the log: nothing is acknowledged before it is durable, and nothing that is appended is given up."""

import asyncio

import pytest

from gateway.core.errors import Unavailable
from tests.edge import DecidedLog, Peer, make_source, raw_request, running_edge, until


@pytest.fixture
def log() -> DecidedLog:
    return DecidedLog(automatic=False)


def answered(peer: Peer) -> bool:
    return len(peer.reader._buffer) > 0  # type: ignore[attr-defined]


async def test_a_hundred_copies_at_once_are_stored_once_and_none_is_answered_before_it_is(log):
    async with running_edge(log=log) as running:
        peers = [await running.connect() for _ in range(100)]
        for peer in peers:
            await peer.send(raw_request())
        await until(lambda: running.edge.inflight == 100)

        assert (log.appends, len(log.undecided)) == (1, 1)
        assert not any(answered(peer) for peer in peers)
        log.store()
        words = [(await peer.response()).word for peer in peers]

        assert sorted(words) == ["accepted"] + ["duplicate"] * 99
        assert len(log.stored) == 1


async def test_a_redelivery_of_an_undecided_event_gets_the_first_ones_outcome(log):
    async with running_edge(log=log) as running:
        first, second = await running.connect(), await running.connect()
        await first.send(raw_request())
        await until(lambda: log.undecided)
        await second.send(raw_request())
        await until(lambda: running.edge.inflight == 2)

        log.fail(Unavailable("log_down"))

        assert [(await peer.response()).status for peer in (first, second)] == [503, 503]
        assert log.stored == []


async def test_after_a_certain_failure_the_next_copy_is_new(log):
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request())
        await until(lambda: log.undecided)
        log.fail(Unavailable("disk_full"))
        assert (await peer.response()).status == 503
        log.automatic = True

        assert (await peer.ask(raw_request())).word == "accepted"
        assert running.counts["append_error", "disk_full"] == 1


async def test_at_the_deadline_the_answer_is_503_and_the_retry_joins_the_same_append(log):
    async with running_edge(make_source(deadline=0.1), log=log) as running:
        peer = await running.connect()

        first, second = await peer.ask(raw_request()), await peer.ask(raw_request())

        assert [(answer.status, answer.word) for answer in (first, second)] == [(503, "unavailable")] * 2
        assert int(first.headers["retry-after"]) > 0
        assert log.appends == 1
        assert running.counts["acme", "refused", "deadline"] == 2


async def test_a_late_success_makes_the_retry_a_duplicate(log):
    async with running_edge(make_source(deadline=0.1), log=log, max_ids=10) as running:
        peer = await running.connect()
        assert (await peer.ask(raw_request())).status == 503

        log.store()
        await until(lambda: running.edge.remembered_ids == 1)

        assert (await peer.ask(raw_request())).word == "duplicate"
        assert (log.appends, len(log.stored)) == (1, 1)


async def test_a_sender_that_leaves_while_its_event_is_appended_has_it_stored_once(log):
    async with running_edge(log=log) as running:
        leaver = await running.connect()
        await leaver.send(raw_request())
        await until(lambda: log.undecided)
        leaver.close()
        second = await running.connect()
        await second.send(raw_request())
        await until(lambda: running.edge.inflight == 2)

        log.store()

        assert (await second.response()).word == "duplicate"
        assert len(log.stored) == 1


async def test_an_outcome_nobody_knows_is_503_and_the_retry_is_appended_anew(log):
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request())
        await until(lambda: log.undecided)
        log.fail(Unavailable("log_down", written=None))
        assert (await peer.response()).status == 503
        log.automatic = True

        assert (await peer.ask(raw_request())).word == "accepted"
        assert running.counts["append_error", "unknown"] == 1


async def test_the_same_id_on_two_sources_is_two_events():
    async with running_edge(make_source(), make_source(name="other")) as running:
        peer = await running.connect()

        first = await peer.ask(raw_request())
        second = await peer.ask(raw_request(path="/webhooks/other"))

        assert first.word == "accepted"
        assert second.status == 200


async def test_requests_of_one_connection_are_answered_in_their_order(log):
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request(headers=[("x-id", "a")]) + raw_request(path="/nowhere"))
        await until(lambda: log.undecided)
        for _ in range(5):
            await asyncio.sleep(0)

        assert not answered(peer)
        log.store()
        assert (await peer.response()).word == "accepted"
        assert (await peer.response()).word == "unknown_source"
