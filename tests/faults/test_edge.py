"""The edge killed, drained, flooded and kept waiting, through real processes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from tests.fault_rig import (
    Delivery,
    accept,
    command_rows,
    configuration,
    dead,
    effects,
    github,
    lines,
    metric,
    send,
    send_all,
    stored,
    stripe,
    traffic,
)
from tests.running import RunningGateway, running, until
from tests.sender import Connection


class SlowRequest:
    """A request of which the last byte is held back."""

    def __init__(self, delivery: Delivery, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._body = delivery.body
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, port: int, delivery: Delivery) -> "SlowRequest":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [f"POST {delivery.path} HTTP/1.1", "host: gateway.test", f"content-length: {len(delivery.body)}"]
        head += [f"{name}: {value}" for name, value in delivery.headers.items()]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + delivery.body[:-1])
        await writer.drain()
        return cls(delivery, reader, writer)

    def finish(self) -> None:
        self._writer.write(self._body[-1:])

    async def answer(self) -> str:
        """Return the head of the answer, empty if the connection broke before it was whole."""
        with contextlib.suppress(OSError, EOFError):
            async with asyncio.timeout(15):
                return (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        return ""

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def slow_requests(port: int, count: int) -> AsyncIterator[list[SlowRequest]]:
    requests = [await SlowRequest.begin(port, stripe(f"evt_slow_{number}")) for number in range(count)]
    try:
        yield requests
    finally:
        for request in requests:
            request.close()


def patient(seconds: int) -> str:
    """Return a configuration whose stripe sources answer a slow request no sooner than that."""
    return configuration().replace("provider: stripe\n", f"provider: stripe\n    deadline: {seconds}s\n")


def inflight(gateway: RunningGateway) -> float:
    return metric(gateway, "gateway_inflight_deliveries")


def test_while_the_edge_is_dead_senders_wait_and_none_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        before = gateway.pid("edge")
        events = [stripe(f"evt_{number}") for number in range(200)]

        gateway.kill("edge")
        accept(gateway, *events, connections=200)

        assert gateway.pid("edge") not in (None, before)
        assert len(stored(gateway)) == 200


async def test_on_sigterm_what_was_begun_is_answered_and_the_exit_is_clean(tmp_path: Path) -> None:
    with running(tmp_path, config=patient(15)) as gateway:
        async with slow_requests(gateway.port, 50) as requests:
            await asyncio.to_thread(until, lambda: inflight(gateway) == 50, what="50 requests in flight")

            assert gateway.process is not None
            gateway.process.terminate()
            await asyncio.to_thread(until, lambda: lines(gateway, "gateway.stopping"))
            for request in requests:
                request.finish()
            answers = await asyncio.gather(*(request.answer() for request in requests))

        status = await asyncio.to_thread(gateway.process.wait, 40)
        assert status == 0
        assert {answer.split("\r\n")[0] for answer in answers} == {"http/1.1 200 ok"}
        assert all("connection: close" in answer for answer in answers)
        assert {event_id for _, event_id, _ in stored(gateway)} == {f"evt_slow_{number}" for number in range(50)}


def test_sigterm_under_load_loses_nothing_and_the_next_start_finishes_the_work(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        with traffic(gateway, connections=16) as sent:
            until(lambda: len(sent.acknowledged) > 500)
            status = gateway.stop()

        assert status == 0
        assert {answer.status for answer in sent.refused} <= {0, 503}
        assert sent.acknowledged <= {event_id for _, event_id, _ in stored(gateway)}

        gateway.start()
        until(lambda: sorted(effects(gateway)) == sorted(event_id for _, event_id, _ in stored(gateway)))


async def test_slow_senders_by_the_hundred_do_not_hold_up_a_fast_one(tmp_path: Path) -> None:
    with running(tmp_path, config=patient(5)) as gateway:
        async with slow_requests(gateway.port, 300) as requests:
            await asyncio.to_thread(until, lambda: inflight(gateway) > 0)
            late = [asyncio.create_task(request.answer()) for request in requests]

            answers = await send_all(gateway.port, [stripe(f"evt_{number}") for number in range(20)], connections=1)
            slow_ones_answered = sum(answer.done() for answer in late)
            late_answers = await asyncio.gather(*late)

        assert all(answer.acknowledged for answer in answers)
        assert slow_ones_answered == 0
        assert {answer.split("\r\n")[0] for answer in late_answers} == {"http/1.1 503 service unavailable"}
        assert len(stored(gateway)) == 20


def test_a_hundred_copies_at_once_are_all_acknowledged_stored_once_and_have_one_effect(tmp_path: Path) -> None:
    event = stripe("evt_popular")
    with running(tmp_path) as gateway:
        answers = send(gateway, *[event] * 100, connections=100)

        accept(gateway, stripe("evt_after"))
        until(lambda: "evt_after" in effects(gateway))
        assert [answer.status for answer in answers] == [200] * 100
        assert [event_id for _, event_id, _ in stored(gateway)] == ["evt_popular", "evt_after"]
        assert effects(gateway) == ["evt_popular", "evt_after"]


async def test_a_copy_sent_while_the_edge_dies_with_the_first_is_stored_once(tmp_path: Path) -> None:
    events = [stripe(f"evt_{number}", filler=500) for number in range(400)]
    with running(tmp_path) as gateway:
        sending = asyncio.create_task(send_all(gateway.port, events, connections=16))
        await asyncio.to_thread(until, lambda: len(stored(gateway)) > 50)
        gateway.kill("edge")
        first = await sending

        again = await send_all(gateway.port, events, connections=16)

        assert all(answer.acknowledged for answer in again)
        assert sorted(event_id for _, event_id, _ in stored(gateway)) == sorted(
            f"evt_{number}" for number in range(400)
        )
        confirmed = [
            json.loads(copy.body)["status"] for answer, copy in zip(first, again, strict=True) if answer.status
        ]
        assert set(confirmed) == {"duplicate"}, "acknowledged before, and new to the next edge"


def test_one_id_on_two_sources_is_two_events_with_two_effects(tmp_path: Path) -> None:
    with running(tmp_path, config=configuration()) as gateway:
        accept(gateway, stripe("evt_same"), stripe("evt_same", source="stripe-eu"))

        until(lambda: effects(gateway) == ["evt_same", "evt_same"])
        assert {source for source, _, _ in stored(gateway)} == {"stripe", "stripe-eu"}


def test_a_poisoned_id_loses_neither_event_and_the_one_put_aside_can_be_run(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        accept(gateway, github("delivery-1", body=b'{"repository":{"id":1},"captured":true}'))
        accept(gateway, github("delivery-1", body=b'{"repository":{"id":1},"genuine":true}'))
        until(lambda: [letter.reason for letter in dead(gateway)] == ["id_conflict"])
        assert len(stored(gateway)) == 2
        assert effects(gateway) == ["delivery-1"]

        (retried,) = command_rows(gateway, "dead", "retry", "ledger", "--all")

        assert retried["retried"] == 1
        until(lambda: effects(gateway) == ["delivery-1", "delivery-1"])
        assert dead(gateway) == []


async def test_one_connection_is_answered_through_two_edges(tmp_path: Path) -> None:
    """A sender that keeps its connection sees the death of an edge as a broken connection, and nothing worse."""
    with running(tmp_path) as gateway:
        connection = Connection(gateway.port)
        first, second = stripe("evt_1"), stripe("evt_2")
        assert (await connection.post(first.path, first.body, first.headers)).acknowledged

        gateway.kill("edge")
        broken = await connection.post(second.path, second.body, second.headers)
        answer = await connection.post(second.path, second.body, second.headers)

        connection.close()
        assert broken.status == 0
        assert answer.acknowledged
        assert [event_id for _, event_id, _ in stored(gateway)] == ["evt_1", "evt_2"]
