from collections import Counter

from gateway.keep.postgres.counts import Change, Counts, Lane, Place

LANE = Lane(1, "record", "cus_1")
OTHER = Lane(2, "record", "cus_1")


def known(*lanes: Lane, revision: int = 5) -> Counts:
    """Return what is known of these lanes' partitions, one row in each lane."""
    counts = Counts()
    for lane in lanes:
        place = Place(revision)
        place.lanes[lane.handler, lane.key] = place.parked = 1
        counts.take(lane.partition, place)
    return counts


def change(revision: int, rows: int = 1, *, lane: Lane = LANE, dead: int = 0) -> Change:
    return Change({lane.partition: revision}, Counter({lane: rows}), Counter({lane.partition: dead}))


def test_own_change_is_added_and_its_revision_known() -> None:
    counts = known(LANE)

    counts.apply(change(6, 2, dead=1))

    assert (counts.parked(), counts.dead(), counts.holds("record", "cus_1")) == (3, 1, 3)
    assert counts.changed({1: 6}) == []
    assert counts.unsure([LANE]) == []


def test_change_that_was_read_already_is_not_added_again() -> None:
    counts = known(LANE)

    counts.apply(change(5))

    assert counts.parked() == 1


def test_change_of_a_partition_that_left_is_passed_over() -> None:
    counts = known(LANE, OTHER)
    counts.drop([1])

    counts.apply(change(6))
    counts.correct({LANE: 9})

    assert (counts.parked(), counts.holds("record", "cus_1"), list(counts.places)) == (1, 1, [2])


def test_revision_of_anothers_is_found_however_many_of_our_own_follow() -> None:
    counts = known(LANE, OTHER)

    for revision in (7, 8):
        counts.apply(change(revision))

    assert counts.unsure([LANE, OTHER]) == [LANE]
    assert counts.changed({1: 8, 2: 5}) == [1]
    assert counts.changed({1: 8, 2: 6}) == [1, 2]


def test_revisions_from_before_our_own_change_tell_nothing() -> None:
    counts = known(LANE)

    counts.apply(change(6))

    assert counts.changed({1: 5}) == []


def test_reading_again_replaces_what_was_known() -> None:
    counts = known(LANE)
    before = counts.places[1]
    counts.apply(change(9, 5, dead=2))

    counts.take(1, Place(9))

    assert (counts.parked(), counts.dead(), counts.changed({1: 9})) == (0, 0, [])
    assert counts.places[1] is before


def test_corrected_lane_has_the_rows_it_is_said_to_have() -> None:
    counts = known(LANE, OTHER)

    counts.correct({LANE: 4, OTHER: 0})

    assert (counts.parked(), counts.holds("record", "cus_1")) == (4, 4)


def test_lanes_of_handlers_that_are_not_strict_are_counted_together() -> None:
    counts = Counts(frozenset({"strict"}))
    counts.take(1, Place(5))

    counts.apply(change(6, 3))
    counts.apply(change(7, 2, lane=Lane(1, "strict", "cus_1")))

    assert (counts.parked(), counts.holds("record", "cus_1"), counts.holds("strict", "cus_1")) == (5, 0, 2)
    assert list(counts.places[1].lanes) == [("strict", "cus_1")]


def test_lane_of_a_handler_that_is_not_strict_is_never_unsure() -> None:
    counts = Counts(frozenset({"strict"}))
    counts.take(1, Place(5))

    counts.apply(change(9))

    assert counts.unsure([LANE]) == []
    assert counts.changed({1: 9}) == [1]


def test_more_than_is_known_cannot_leave() -> None:
    counts = Counts(frozenset())
    counts.take(1, Place(5))

    counts.apply(change(6, -2))

    assert (counts.parked(), counts.places[1].parked) == (0, 0)
