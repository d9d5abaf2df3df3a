"""What the relay holds: lanes, the position before the first, how many are tried together."""

from gateway.receive.held import AT_ONCE, Held, Lane

A, B = Lane("acme", 0), Lane("acme", 1)


def held(*lanes: Lane) -> Held:
    made = Held()
    for offset, lane in enumerate(lanes, start=1):
        made.hold(lane, offset)
    return made


def test_the_position_is_before_the_first_held_one() -> None:
    found = held(A, B, A)

    assert found.before(3) == 0
    found.let_go(A, 1)
    assert found.before(3) == 1
    found.let_go(B, 2)
    found.let_go(A, 3)
    assert found.before(3) == 3


def test_one_that_was_taken_out_of_turn_leaves_those_before_it() -> None:
    found = held(A, A, A)
    found.let_go(A, 2)

    assert list(found.first(A)) == [1, 3]
    assert (found.before(3), found.count) == (0, 2)


def test_after_a_refusal_fewer_are_tried_down_to_one_and_more_again_after_a_success() -> None:
    found = held(*[A] * 8)

    found.tried(A, 8, 0)
    assert len(found.first(A)) == 4
    found.tried(A, 4, 3)
    found.tried(A, 2, 0)
    found.tried(A, 1, 0)
    assert len(found.first(A)) == 1
    found.tried(A, 1, 1)
    assert len(found.first(A)) == 2


def test_no_more_than_a_batch_is_tried_together() -> None:
    assert len(held(*[A] * (AT_ONCE + 1)).first(A)) == AT_ONCE


def test_a_lane_that_was_emptied_starts_afresh() -> None:
    found = held(A)
    found.tried(A, 1, 0)
    found.let_go(A, 1)
    found.tried(A, 1, 1)

    assert found.is_free(A)
    found.hold(A, 2)
    found.hold(A, 3)
    assert list(found.first(A)) == [2, 3]


def test_while_an_event_of_unknown_place_is_held_its_sources_wait_behind_it() -> None:
    found = held()
    unknown = found.lane("acme", None)
    found.hold(unknown, 1)

    assert found.lane("acme", 0) == unknown
    assert found.lane("other", 0) == Lane("other", 0)
    found.let_go(unknown, 1)
    assert found.lane("acme", 0) == A
