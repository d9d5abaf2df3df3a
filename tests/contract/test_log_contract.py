"""What every EventLog promises, and its reader; each engine is one factory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import Unavailable
from gateway.keep.sqlite.options import wall_us
from tests.kafka_log import Topics, kafka_log
from tests.kafka_rig import Kafka
from tests.log_builders import OpenLog, make_event, memory_log, sqlite_log, until

Opening = Callable[..., AbstractAsyncContextManager[OpenLog]]


def embedded_opening(engine: str, folder: Path) -> Opening:
    def sqlite(**options: Any) -> AbstractAsyncContextManager[OpenLog]:
        return sqlite_log(folder, **options)

    return sqlite if engine == "sqlite" else memory_log


@pytest.fixture(params=["sqlite", "memory", "kafka"])
async def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param != "kafka":
        return embedded_opening(request.param, tmp_path)
    broker: Kafka = request.getfixturevalue("kafka")
    topics = Topics(bootstrap=broker.bootstrap, prefix=request.getfixturevalue("kafka_prefix"))
    await topics.create()
    return partial(kafka_log, topics)


@pytest.fixture
async def opened(opening: Opening) -> AsyncIterator[OpenLog]:
    async with opening() as log:
        yield log


@pytest.fixture(params=["sqlite", "memory"])
async def embedded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLog]:
    """A log on one machine, whose reader counts from the first event; Kafka is read through a subscription."""
    async with embedded_opening(request.param, tmp_path)() as log:
        yield log


async def test_an_appended_event_is_read_back_whole(opened: OpenLog) -> None:
    event = make_event(body=b"\x00\xff not json", flags=("opaque",), time_us=17, batch_index=3)

    (appended,) = await opened.append(event)

    assert appended.position == opened.at(1)
    assert appended.flags == ("opaque",)
    assert not appended.duplicate
    assert opened.stored() == [event]


async def test_offsets_follow_the_order_of_appends_without_holes(opened: OpenLog) -> None:
    batches = [opened.log.append([make_event() for _ in range(size)]) for size in (1, 3, 200, 5)]

    outcomes = [await future for batch in batches for future in batch]

    assert [outcome.position for outcome in outcomes] == [opened.at(number) for number in range(1, 210)]


async def test_a_future_is_not_done_before_the_loop_turns(opened: OpenLog) -> None:
    (future,) = opened.log.append([make_event()])

    assert not future.done()
    await future


async def test_nothing_appended_is_nothing_stored(opened: OpenLog) -> None:
    assert list(opened.log.append([])) == []
    assert opened.reader.last_seq() == 0


async def test_a_second_copy_is_a_duplicate_of_the_first(opened: OpenLog) -> None:
    event = make_event()
    (first,) = await opened.append(event)

    (second,) = await opened.append(make_event(event.id))

    assert second.duplicate
    assert second.position == (first.position if opened.remembers_places else None)
    assert opened.ids() == [event.id]


async def test_a_hundred_copies_at_once_are_stored_once(opened: OpenLog) -> None:
    futures = [opened.log.append([make_event("evt_storm")])[0] for _ in range(100)]

    outcomes = await asyncio.gather(*futures)

    assert [outcome.duplicate for outcome in outcomes] == [False] + [True] * 99
    assert {outcome.position for outcome in outcomes} == {opened.at(1)}
    assert opened.ids() == ["evt_storm"]


async def test_a_copy_among_new_events_costs_them_nothing(opened: OpenLog) -> None:
    await opened.append(make_event("evt_known"))

    outcomes = await opened.append(make_event("evt_a"), make_event("evt_known"), make_event("evt_b"))

    assert [outcome.duplicate for outcome in outcomes] == [False, True, False]
    assert opened.ids() == ["evt_known", "evt_a", "evt_b"]


async def test_the_same_id_at_two_sources_is_two_events(opened: OpenLog) -> None:
    outcomes = await opened.append(make_event("evt_1", source="acme"), make_event("evt_1", source="other"))

    assert [outcome.duplicate for outcome in outcomes] == [False, False]
    assert [event.source for event in opened.stored()] == ["acme", "other"]


@pytest.mark.parametrize("how", ["in one batch", "one after the other"])
async def test_another_body_under_a_signed_id_is_a_duplicate_counted_apart(opened: OpenLog, how: str) -> None:
    events = [make_event("evt_1", signed=True, body=body) for body in (b"first", b"second")]

    outcomes = (
        await opened.append(*events) if how == "in one batch" else [(await opened.append(event))[0] for event in events]
    )

    assert [(outcome.duplicate, outcome.body_differs) for outcome in outcomes] == [(False, False), (True, True)]
    assert [event.body for event in opened.stored()] == [b"first"]


@pytest.mark.parametrize("how", ["in one batch", "one after the other"])
async def test_another_body_under_an_unsigned_id_is_stored_and_flagged(opened: OpenLog, how: str) -> None:
    events = [make_event("evt_1", body=body, flags=("type_unsigned",)) for body in (b"first", b"second")]

    outcomes = (
        await opened.append(*events) if how == "in one batch" else [(await opened.append(event))[0] for event in events]
    )

    assert [outcome.duplicate for outcome in outcomes] == [False, False]
    assert outcomes[1].flags == ("id_conflict", "type_unsigned")
    assert [(event.body, event.flags) for event in opened.stored()] == [
        (b"first", ("type_unsigned",)),
        (b"second", ("id_conflict", "type_unsigned")),
    ]


async def test_each_body_under_a_poisoned_id_is_stored_once(opened: OpenLog) -> None:
    bodies = [b"forged", b"genuine", b"third"]

    for _ in range(2):
        for body in bodies:
            await opened.append(make_event("evt_poisoned", body=body))

    assert [event.body for event in opened.stored()] == bodies


async def test_a_copy_of_a_conflicting_body_is_a_duplicate_of_that_one(opened: OpenLog) -> None:
    await opened.append(make_event("evt_1", body=b"first"))
    (conflicting,) = await opened.append(make_event("evt_1", body=b"second"))

    (copy,) = await opened.append(make_event("evt_1", body=b"second"))

    assert copy.duplicate
    assert copy.position == (conflicting.position if opened.remembers_places else None)
    assert copy.flags == ("id_conflict",)


async def test_an_id_no_utf8_can_hold_is_stored_and_recognised(opened: OpenLog) -> None:
    event = make_event("evt_\ud800")

    (first,) = await opened.append(event)
    (second,) = await opened.append(event)

    assert (first.duplicate, second.duplicate) == (False, True)
    assert opened.stored() == [event]


async def test_an_append_over_the_budget_of_events_is_refused_whole(opening: Opening) -> None:
    async with opening(max_queued_events=3) as opened:
        futures = list(opened.log.append([make_event("evt_1"), make_event("evt_2")]))

        with pytest.raises(Unavailable) as refused:
            opened.log.append([make_event("evt_3"), make_event("evt_4")])
        await asyncio.gather(*futures)

        assert refused.value.reason == "overloaded"
        assert refused.value.written is False
        assert opened.ids() == ["evt_1", "evt_2"]
        (later,) = await opened.append(make_event("evt_3"))
        assert not later.duplicate


async def test_an_append_over_the_budget_of_bytes_is_refused_and_the_budget_comes_back(opening: Opening) -> None:
    async with opening(max_queued_bytes=10_000) as opened:
        (future,) = opened.log.append([make_event(body=b"x" * 6000)])
        with pytest.raises(Unavailable):
            opened.log.append([make_event(body=b"y" * 6000)])
        await future

        (later,) = await opened.append(make_event(body=b"y" * 6000))

        assert not later.duplicate
        assert opened.log.health().queued_bytes == 0
        assert opened.log.health().queued_events == 0


async def test_a_waiter_that_gives_up_cancels_nothing(opened: OpenLog) -> None:
    (future, other) = opened.log.append([make_event("evt_1"), make_event("evt_2")])
    future.cancel()

    await other

    assert opened.ids() == ["evt_1", "evt_2"]


async def test_close_finishes_what_is_enqueued_and_refuses_more(opening: Opening) -> None:
    async with opening() as opened:
        futures = opened.log.append([make_event() for _ in range(700)])

        await opened.log.close()

        assert all(future.done() and not future.exception() for future in futures)
        with pytest.raises(Unavailable) as refused:
            opened.log.append([make_event()])
        assert refused.value.reason == "draining"
        await opened.log.close()


async def test_readers_are_woken_after_events_became_readable(opened: OpenLog) -> None:
    await opened.append(make_event())

    await until(opened.woken.is_set, "the wake")

    assert opened.reader.last_seq() == 1


async def test_reading_goes_on_after_an_offset_and_keeps_within_its_bounds(embedded: OpenLog) -> None:
    await embedded.append(*[make_event(f"evt_{number}", body=b"x" * 1000) for number in range(10)])

    by_events = embedded.reader.read_after(2, 3, 2**20)
    by_bytes = embedded.reader.read_after(2, 100, 4000)
    too_small = embedded.reader.read_after(2, 100, 1)
    at_the_end = embedded.reader.read_after(10, 100, 2**20)

    assert [record.position.offset for record in by_events] == [3, 4, 5]
    assert [record.position.offset for record in by_bytes] == [3, 4]
    assert [record.position.offset for record in too_small] == [3]
    assert list(at_the_end) == []


async def test_the_reader_counts_and_dates_what_follows_an_offset(embedded: OpenLog) -> None:
    await embedded.append(*[make_event(received_us=1_000 + number) for number in range(5)])

    assert [embedded.reader.count_after(seq) for seq in (0, 3, 5, 9)] == [5, 2, 0, 0]
    assert [embedded.reader.oldest_received_after(seq) for seq in (0, 3, 5)] == [1_000, 1_003, None]
    assert embedded.reader.gap_events("billing") == 0
    assert len(embedded.reader.log_id()) == 32


async def test_health_tells_what_is_stored(opened: OpenLog) -> None:
    await opened.append(*[make_event(received_us=wall_us() - 10**8) for _ in range(3)])

    if opened.measures:
        await until(lambda: opened.log.health().oldest_seconds > 0 and opened.log.health().events == 3, "the numbers")
    health = opened.log.health()

    assert (health.writable, health.reason) == (True, None)
    assert (health.queued_events, health.queued_bytes) == (0, 0)
    assert (health.events, health.bytes > 0) == ((3, True) if opened.measures else (0, False))
