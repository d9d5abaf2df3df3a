"""What every Catalogue promises; each engine is one factory."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.event import Event
from gateway.keep.ports import (
    Catalogue,
    DeadLetter,
    Filter,
    MarkKey,
    Outcome,
    Pair,
    PairState,
    PairStatus,
    Stored,
)
from tests.catalogue_builders import RouterState, World, postgres_world, sqlite_world
from tests.log_builders import make_event
from tests.state_builders import NOW_US

START_US = 1_790_000_000_000_000
EVENTS = [
    make_event("a", type="paid", key="k1", received_us=START_US),
    make_event("b", type="paid", key="k2", received_us=START_US + 1, source="other"),
    make_event("c", type="void", key="k1", received_us=START_US + 2, flags=("opaque", "type_unsigned"), time_us=7),
    make_event("d", type="paid", key="k3", received_us=START_US + 3),
]
HOSTILE = "\ud800é\u202e"  # control characters never come so far


@pytest.fixture(params=["sqlite", "postgres"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "sqlite":
        async with sqlite_world(tmp_path) as world:
            yield world
    else:
        async with postgres_world(request.getfixturevalue("migrated_database")) as world:
            yield world


@pytest.fixture
async def world(empty: World) -> World:
    for event in EVENTS:
        await empty.append(event)
    return empty


def ids(catalogue: Catalogue, where: Filter, *, limit: int = 10, newest_first: bool = False) -> str:
    return "".join(found.id for found in catalogue.events(where, limit=limit, newest_first=newest_first))


@pytest.mark.parametrize(
    "where, fitting",
    [
        pytest.param(Filter(), "abcd", id="all"),
        pytest.param(Filter(source="acme"), "acd", id="source"),
        pytest.param(Filter(type="paid"), "abd", id="type"),
        pytest.param(Filter(id="c"), "c", id="id"),
        pytest.param(Filter(key="k1", type="paid"), "a", id="key and type"),
        pytest.param(Filter(since_us=START_US + 1), "bcd", id="since is inclusive"),
        pytest.param(Filter(until_us=START_US + 1), "a", id="until is exclusive"),
        pytest.param(Filter(source="nobody"), "", id="none"),
        pytest.param(Filter(id="\ud800"), "", id="an id no text can hold"),
        pytest.param(Filter(key="k1\0"), "", id="a key with a NUL"),
    ],
)
def test_a_filter_narrows_lists_and_counts_alike(world: World, where: Filter, fitting: str) -> None:
    assert ids(world.catalogue, where) == fitting
    assert ids(world.catalogue, where, newest_first=True) == fitting[::-1]
    assert world.catalogue.count(where) == len(fitting)


@pytest.mark.parametrize("newest_first, listed", [(True, "dc"), (False, "ab")])
def test_a_limit_is_kept_from_either_end(world: World, *, newest_first: bool, listed: str) -> None:
    assert ids(world.catalogue, Filter(), limit=2, newest_first=newest_first) == listed


@pytest.mark.parametrize(
    "newest_first, after, listed", [(True, "c", "ba"), (False, "b", "cd"), (True, "a", ""), (False, "d", "")]
)
def test_listing_goes_on_after_an_event_in_either_direction(
    world: World, *, newest_first: bool, after: str, listed: str
) -> None:
    (known,) = world.catalogue.events(Filter(id=after), limit=1, newest_first=True)

    found = world.catalogue.events(Filter(), limit=10, newest_first=newest_first, after=known.position)

    assert "".join(summary.id for summary in found) == listed


def test_a_summary_says_everything_but_the_body(world: World) -> None:
    (found,) = world.catalogue.events(Filter(id="c"), limit=1, newest_first=True)

    event = EVENTS[2]
    assert (found.source, found.provider, found.id, found.type) == ("acme", "custom", "c", "void")
    assert (found.time_us, found.received_us, found.key) == (7, event.received_us, "k1")
    assert (found.body_sha256, found.body_bytes) == (event.body_sha256, len(event.body))
    assert found.flags == ("opaque", "type_unsigned")


async def test_a_summary_holds_what_a_sender_made_up_as_it_is(empty: World) -> None:
    await empty.append(make_event(f"id{HOSTILE}", type=f"type{HOSTILE}", key=f"key{HOSTILE}"))

    (found,) = empty.catalogue.events(Filter(), limit=10, newest_first=True)

    assert (found.id, found.type, found.key) == (f"id{HOSTILE}", f"type{HOSTILE}", f"key{HOSTILE}")


async def test_an_event_is_found_by_an_id_that_is_not_ascii(empty: World) -> None:
    await empty.append(make_event("é\u202e"))

    assert bodies(empty.catalogue, "acme", "é\u202e") == [make_event().body]
    assert ids(empty.catalogue, Filter(id="é\u202e")) == "é\u202e"


def test_an_empty_log_has_no_end(empty: World) -> None:
    assert empty.catalogue.end() is None
    assert ids(empty.catalogue, Filter()) == ""
    assert empty.catalogue.count(Filter()) == 0


async def test_who_begins_at_the_end_is_shown_all_that_comes_later_and_nothing_else(world: World) -> None:
    end = world.catalogue.end()
    # Received before what is there, and stored after it: its delivery took its time.
    await world.append(make_event("e", received_us=START_US - 5))
    await world.append(make_event("f", received_us=START_US + 9))

    followed = world.catalogue.events(Filter(), limit=10, newest_first=False, after=end)

    assert [found.id for found in followed] == ["e", "f"]


async def test_the_end_is_what_was_stored_last_whenever_it_was_received(world: World) -> None:
    (position,) = await world.append(make_event("e", received_us=START_US - 5))

    assert world.catalogue.end() == position
    assert list(world.catalogue.events(Filter(), limit=10, newest_first=False, after=position)) == []


async def test_an_event_is_found_with_its_body_and_its_place(world: World) -> None:
    (position,) = await world.append(make_event("e", body=b"\xff\x00"))

    (found,) = world.catalogue.event("acme", "e")

    assert (found.position, found.event and found.event.body) == (position, b"\xff\x00")
    assert world.catalogue.event("other", "e") == []


async def test_all_bodies_that_came_under_one_id_are_its_copies(world: World) -> None:
    await world.append(make_event("a", body=b"another body"))

    assert bodies(world.catalogue, "acme", "a") == [EVENTS[0].body, b"another body"]


def bodies(catalogue: Catalogue, source: str, event_id: str) -> Sequence[bytes]:
    found = catalogue.event(source, event_id)
    assert all(isinstance(stored.event, Event) for stored in found), found
    return [stored.event.body for stored in found if stored.event]


# What became of an event


@pytest.fixture
async def billing(world: World) -> AsyncIterator[RouterState]:
    async with world.router("billing") as state:
        yield state


def stored(world: World, event_id: str) -> Stored:
    (found,) = world.catalogue.event("other" if event_id == "b" else "acme", event_id)
    return found


def pair(world: World, event_id: str, **over: object) -> Pair:
    found = stored(world, event_id)
    assert found.event is not None
    values = {"handler": "record", "event": found.event, "position": found.position, **over}
    return Pair(**values)  # type: ignore[arg-type]


def key(world: World, event_id: str, handler: str = "record", replay: str = "") -> MarkKey:
    return MarkKey(handler, pair(world, event_id).event.dedupe_key, replay)


@pytest.mark.parametrize(
    "outcome, state", [("done", "done"), ("duplicate", "done"), ("stale", "stale"), ("dead", "dead")]
)
async def test_a_marked_pair_is_shown_with_its_outcome_attempts_and_time(
    world: World, billing: RouterState, outcome: Outcome, state: PairState
) -> None:
    await billing.commit(stored(world, "a").position)
    await billing.store.mark(key(world, "a"), outcome, version=None, attempt=2)

    assert world.catalogue.states(stored(world, "a")) == [
        PairStatus(router="billing", handler="record", state=state, attempts=2, at_us=NOW_US)
    ]


async def test_a_parked_pair_is_retrying_and_one_held_behind_it_is_held(world: World, billing: RouterState) -> None:
    await billing.commit(stored(world, "a").position)
    await billing.commit(stored(world, "c").position)
    await billing.parking.park(pair(world, "a", attempt=3), due_us=NOW_US + 5, error="ValueError: no")
    await billing.parking.hold(pair(world, "c"))

    retrying, held = world.catalogue.states(stored(world, "a")), world.catalogue.states(stored(world, "c"))

    assert retrying == [
        PairStatus(
            router="billing",
            handler="record",
            state="retrying",
            attempts=3,
            at_us=NOW_US,
            next_us=NOW_US + 5,
            error="ValueError: no",
        )
    ]
    assert held == [PairStatus(router="billing", handler="record", state="held", at_us=NOW_US)]


async def test_a_dead_letter_is_shown_as_dead_with_its_error(world: World, billing: RouterState) -> None:
    await billing.commit(stored(world, "a").position)
    await billing.parking.bury(pair(world, "a", attempt=3), reason="attempts", error="ValueError: no", trace="")

    assert world.catalogue.states(stored(world, "a")) == [
        PairStatus(router="billing", handler="record", state="dead", attempts=3, at_us=NOW_US, error="ValueError: no")
    ]


async def test_what_is_past_the_cursor_is_pending_and_what_is_before_it_matched_no_handler(
    world: World, billing: RouterState
) -> None:
    before = world.catalogue.states(stored(world, "a"))
    await billing.commit(stored(world, "a").position)
    after = world.catalogue.states(stored(world, "a"))

    assert before == [PairStatus(router="billing", handler="", state="pending")]
    assert after == []
    assert world.catalogue.states(stored(world, "d")) == before


async def test_all_routers_and_replays_are_shown_in_order_of_their_names(world: World, billing: RouterState) -> None:
    async with world.router("audit") as audit:
        for handler, replay in (("record", "r2"), ("record", ""), ("notify", "")):
            await billing.store.mark(key(world, "a", handler, replay), "done", version=None, attempt=1)
        await audit.store.mark(key(world, "a", "trace"), "done", version=None, attempt=1)

        shown = world.catalogue.states(stored(world, "a"))

    assert [(status.router, status.handler, status.replay) for status in shown] == [
        ("audit", "", ""),
        ("audit", "trace", ""),
        ("billing", "", ""),
        ("billing", "notify", ""),
        ("billing", "record", ""),
        ("billing", "record", "r2"),
    ]


async def test_a_record_that_cannot_be_read_has_no_states(world: World, billing: RouterState) -> None:
    assert world.catalogue.states(Stored(stored(world, "a").position, None, "envelope version 99")) == []


# Dead letters


async def buried(world: World, state: RouterState, *event_ids: str) -> list[int]:
    """Bury a pair of each event, one after the other; return their numbers."""
    for event_id in event_ids:
        world.clock.pass_seconds(1)
        await state.parking.bury(pair(world, event_id), reason="attempts", error=event_id, trace="")
    return [letter.id for letter in world.catalogue.dead_letters(None, limit=100) if letter.error in event_ids]


async def test_a_dead_letter_is_listed_whole(world: World, billing: RouterState) -> None:
    dead = pair(world, "c", attempt=4, replay="r1", replay_id="r1", new_keys=True, first_failed_us=7)
    await billing.parking.bury(dead, reason="gave_up", error="GiveUp: no", trace="Traceback\n  line")

    (letter,) = world.catalogue.dead_letters(None, limit=10)

    assert letter == DeadLetter(
        id=letter.id,
        router="billing",
        pair=replace(dead, error="GiveUp: no"),
        reason="gave_up",
        error="GiveUp: no",
        trace="Traceback\n  line",
        attempts=4,
        died_us=NOW_US,
    )


async def test_dead_letters_come_oldest_first_up_to_the_limit_after_a_number(
    world: World, billing: RouterState
) -> None:
    numbers = await buried(world, billing, "a", "b", "c", "d")

    assert numbers == sorted(numbers)
    assert listed(world, limit=2) == ["a", "b"]
    assert listed(world, router="billing", after_id=numbers[1]) == ["c", "d"]
    assert listed(world, router="billing", after_id=numbers[2] - 1, limit=1) == ["c"]
    assert listed(world, router="billing", after_id=numbers[3]) == []


async def test_dead_letters_of_one_router_or_of_all_are_listed(world: World, billing: RouterState) -> None:
    async with world.router("audit") as audit:
        await buried(world, billing, "a")
        await buried(world, audit, "b")

        assert listed(world) == ["a", "b"]
        assert listed(world, router="audit") == ["b"]
        assert listed(world, router="nobody") == []


def listed(world: World, *, router: str | None = None, limit: int = 10, after_id: int = 0) -> list[str]:
    return [letter.error for letter in world.catalogue.dead_letters(router, limit=limit, after_id=after_id)]
