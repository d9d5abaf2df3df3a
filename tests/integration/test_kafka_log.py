"""The log on a real cluster, and what becomes of appends when that is frozen, killed, absent, moved or cut off."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.errors import TooLargeError, Unavailable
from gateway.keep.kafka.keeping import KeeperTimes
from gateway.keep.ports import Appended
from tests.kafka_log import MESSAGE_BYTES, OpenKafkaLog, Topics, kafka_log
from tests.kafka_rig import Kafka
from tests.log_builders import make_event, until
from tests.tcp_proxy import TcpProxy

DEADLINE = 1.0  # of a request here; the lanes open after twice that
PATIENCE = 60.0
TIMES = KeeperTimes(stuck=3.0, tick=0.05, look=0.1, backoff=0.1, backoff_most=0.3)


@pytest.fixture(scope="module")
def proxied_kafka(kafka: Kafka) -> Iterator[Kafka]:
    """A broker of this module's own, behind a proxy; `kafka` is asked for, so that a machine without is told of."""
    server = Kafka(proxied=True)
    server.start()
    yield server
    server.end()


@pytest.fixture
async def topics(proxied_kafka: Kafka) -> AsyncIterator[Topics]:
    """Topics on the module's own broker, which is mended afterwards."""
    topics = Topics(bootstrap=proxied_kafka.bootstrap, prefix=f"t{secrets.token_hex(4)}")
    await topics.create()
    yield topics
    proxied_kafka.mend()


@pytest.fixture
async def opened(topics: Topics) -> AsyncIterator[OpenKafkaLog]:
    async with kafka_log(topics, times=TIMES, deadline=DEADLINE, failures=2, request_timeout_ms=2000) as opened:
        yield opened


async def sent(opened: OpenKafkaLog, **event: Any) -> Appended | Unavailable:
    """Append as a request does: wait up to the deadline, then give up without a cancellation."""
    try:
        (future,) = opened.log.append([make_event(**event)])
    except Unavailable as refused:
        return refused
    await asyncio.wait({future}, timeout=DEADLINE)
    if not future.done():
        future.add_done_callback(lambda future: future.exception())
        return Unavailable("deadline", written=None)
    return future.exception() or future.result()  # type: ignore[return-value]


async def taken(opened: OpenKafkaLog, **event: Any) -> Appended:
    """Send it again and again, as a provider does, until it is durable."""
    async with asyncio.timeout(PATIENCE):
        while True:
            outcome = await sent(opened, **event)
            if isinstance(outcome, Appended):
                return outcome
            await asyncio.sleep(0.05)


async def refused_at_once(opened: OpenKafkaLog) -> None:
    """Send until an append is refused without a wait."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(Unavailable):
                for future in opened.log.append([make_event()]):
                    future.add_done_callback(lambda future: future.exception())
                await asyncio.sleep(0.05)
                continue
            return


async def test_a_frozen_broker_costs_deadlines_then_refusals_at_once_and_none_of_it_outlasts_it(
    opened: OpenKafkaLog, proxied_kafka: Kafka
) -> None:
    await opened.append(make_event("evt_before"))
    proxied_kafka.freeze()

    outcome = await sent(opened, event_id="evt_during")
    assert isinstance(outcome, Unavailable)
    assert outcome.written is None
    await refused_at_once(opened)
    assert not opened.log.health().writable
    assert opened.log.health().reason == "log_down"
    proxied_kafka.thaw()

    await taken(opened, event_id="evt_after")
    await until(lambda: opened.log.health().writable, "health", PATIENCE)
    assert {"evt_before", "evt_after"} <= set(opened.ids())


async def test_every_append_to_a_frozen_broker_is_decided_in_the_end(
    opened: OpenKafkaLog, proxied_kafka: Kafka
) -> None:
    await opened.append(make_event())
    proxied_kafka.freeze()

    futures = list(opened.log.append([make_event(key=f"customer-{number}") for number in range(100)]))

    done, pending = await asyncio.wait(futures, timeout=PATIENCE)
    assert not pending
    assert all(isinstance(future.exception(), Unavailable) for future in done)
    assert (opened.log.health().queued_events, opened.log.health().queued_bytes) == (0, 0)


async def test_a_broker_killed_and_started_again_is_found_without_a_restart(
    opened: OpenKafkaLog, proxied_kafka: Kafka
) -> None:
    before = [await taken(opened, event_id=f"evt_{number}") for number in range(5)]
    proxied_kafka.kill()
    await refused_at_once(opened)

    proxied_kafka.restart()

    await taken(opened, event_id="evt_after")
    assert all(not appended.duplicate for appended in before)
    assert {f"evt_{number}" for number in range(5)} | {"evt_after"} <= set(opened.ids())


async def test_a_log_opened_while_the_cluster_is_absent_refuses_and_then_takes_events(
    topics: Topics, proxied_kafka: Kafka
) -> None:
    proxied_kafka.proxies[0].refuse()
    async with kafka_log(topics, connect=False, times=TIMES) as opened:
        await until(lambda: len(opened.drivers) > 1, "a second attempt", PATIENCE)
        with pytest.raises(Unavailable) as refused:
            opened.log.append([make_event()])
        assert (refused.value.reason, refused.value.written) == ("log_down", False)
        assert not opened.log.health().writable

        proxied_kafka.proxies[0].pass_on()

        await taken(opened, event_id="evt_after")
        assert opened.ids() == ["evt_after"]


async def test_a_source_whose_topic_is_missing_is_refused_until_that_is_made_and_the_others_are_not(
    kafka: Kafka, kafka_prefix: str
) -> None:
    await Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix, partitions={"other": 1}).create()
    both = Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix)
    async with kafka_log(both, times=TIMES) as opened:
        assert opened.kafka.missing == [f"{kafka_prefix}.events.acme"]
        with pytest.raises(Unavailable) as refused:
            opened.log.append([make_event(source="acme")])
        assert refused.value.written is False
        await opened.append(make_event(source="other"))

        await Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix, partitions={"acme": 3}).create()

        await taken(opened, source="acme")
        assert not opened.kafka.missing


async def test_an_event_larger_than_the_topic_takes_is_refused_before_it_reaches_the_producer(
    opened: OpenKafkaLog,
) -> None:
    with pytest.raises(TooLargeError):
        opened.log.append([make_event("evt_small"), make_event(body=b"x" * MESSAGE_BYTES)])

    await opened.append(make_event("evt_small"), make_event("evt_largest", body=b"x" * (MESSAGE_BYTES - 2000)))
    assert opened.ids() == ["evt_small", "evt_largest"]


async def test_an_event_larger_than_the_broker_takes_fails_alone_and_the_good_ones_beside_and_after_it_pass(
    kafka: Kafka, kafka_prefix: str
) -> None:
    topics = Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix)
    await topics.create(**{"max.message.bytes": "20000"})  # less than the log was told
    async with kafka_log(topics) as opened:
        first, large, second = opened.log.append(
            [make_event("evt_1"), make_event("evt_2", body=b"x" * 30_000), make_event("evt_3")]
        )

        with pytest.raises(Unavailable) as refused:
            await large
        assert refused.value.written is False
        assert (await first).position == opened.at(1)
        assert (await second).position == opened.at(2)
        await asyncio.gather(*opened.log.append([make_event(f"evt_{number}") for number in range(4, 60)]))
        assert opened.ids() == ["evt_1", *[f"evt_{number}" for number in range(3, 60)]]


@pytest.mark.parametrize("how", ["cancelled", "raises"])
async def test_a_sender_task_that_ends_is_replaced_and_no_append_waits_for_it_for_ever(
    topics: Topics, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with kafka_log(topics, times=replace(TIMES, stuck=3600.0)) as opened:
        await opened.append(make_event("evt_1"))
        producer = opened.drivers[0]._producer
        if how == "cancelled":
            producer._sender.sender_task.cancel()
        else:
            monkeypatch.setattr(producer._message_accumulator, "drain_by_nodes", None)
        (future,) = opened.log.append([make_event("evt_2")])

        await asyncio.wait({future}, timeout=PATIENCE)

        error = future.exception()
        if error is not None:
            assert isinstance(error, Unavailable)
            assert error.written is None, "it was handed over, so that nobody knows"
        await taken(opened, event_id="evt_2")
        assert len(opened.drivers) == 2
        assert "evt_2" in opened.ids()


async def test_a_cluster_all_of_whose_addresses_changed_is_found_by_the_configured_ones(
    kafka: Kafka, kafka_prefix: str
) -> None:
    """The configured address is the proxy's, as a name would be; what the broker says of itself changes with it."""
    await Topics(bootstrap=kafka.bootstrap, prefix=kafka_prefix).create()
    old, new = Kafka(proxied=True), kafka
    old.start()
    with TcpProxy(old.broker.node.port) as name:
        try:
            there = Topics(bootstrap=old.bootstrap, prefix=kafka_prefix)
            await there.create()
            async with kafka_log(
                Topics(bootstrap=name.bootstrap, prefix=kafka_prefix), times=TIMES, deadline=DEADLINE
            ) as opened:
                await opened.append(make_event("evt_1"))
                old.kill()
                old.proxies[0].refuse()
                name.target = new.broker.node.port

                await taken(opened, event_id="evt_2")

                assert opened.ids() == ["evt_2"]
        finally:
            old.end()


async def test_an_answer_lost_after_the_broker_appended_is_mended_by_the_client_itself_with_a_copy(
    opened: OpenKafkaLog, proxied_kafka: Kafka
) -> None:
    await opened.append(make_event("evt_before"))
    proxied_kafka.proxies[0].lose_answer()

    await taken(opened, event_id="evt_twice")

    stored = [event for event in opened.stored() if event.id == "evt_twice"]
    assert len(stored) >= 2
    assert len({event.dedupe_key for event in stored}) == 1


async def test_no_answer_after_the_broker_appended_is_unknown_and_the_retry_is_appended_again_under_the_same_key(
    opened: OpenKafkaLog, proxied_kafka: Kafka
) -> None:
    await opened.append(make_event("evt_before"))
    proxied_kafka.proxies[0].swallow_answers()
    (future,) = opened.log.append([make_event("evt_twice")])

    with pytest.raises(Unavailable) as unknown:
        await asyncio.wait_for(future, PATIENCE)
    proxied_kafka.proxies[0].pass_on()
    again = await taken(opened, event_id="evt_twice")

    assert unknown.value.written is None
    assert not again.duplicate, "it may only be called a duplicate of what is known to be durable"
    stored = [event for event in opened.stored() if event.id == "evt_twice"]
    assert len(stored) >= 2
    assert len({event.dedupe_key for event in stored}) == 1


async def test_appends_in_flight_when_it_closes_are_finished_and_the_rest_of_the_time_is_not_waited_for(
    opened: OpenKafkaLog,
) -> None:
    futures = opened.log.append([make_event(key=f"customer-{number}") for number in range(300)])

    await opened.log.close()

    assert all(future.done() and future.exception() is None for future in futures)
    assert len(opened.ids()) == 300


async def test_closing_while_the_broker_is_frozen_ends_in_time_and_with_unknown_outcomes(
    topics: Topics, proxied_kafka: Kafka
) -> None:
    async with kafka_log(topics, times=TIMES, drain=0.2, request_timeout_ms=2000) as opened:
        await opened.append(make_event())
        proxied_kafka.freeze()
        (future,) = opened.log.append([make_event()])
        began = time.monotonic()
        await asyncio.wait_for(opened.log.close(), PATIENCE)

    assert time.monotonic() - began < PATIENCE / 2
    error = future.exception()
    assert isinstance(error, Unavailable)
