"""How far expiry may remove, whatever the wall clock says."""

from gateway.keep.bounds import Bound

DAY_US = 86_400_000_000
START = Bound(10 * DAY_US, 10 * DAY_US, 1000.0)


def test_it_follows_the_clock_while_that_runs_as_time_does() -> None:
    assert START.advance(10 * DAY_US + 5_000_000, 1005.0, pace=1.1).removable_us == 10 * DAY_US + 5_000_000


def test_a_jump_forward_moves_it_by_no_more_than_time_allows() -> None:
    after = START.advance(400 * DAY_US, 1010.0, pace=1.1)

    assert after.removable_us == 10 * DAY_US + 11_000_000


def test_it_catches_up_at_its_pace() -> None:
    late = START._replace(asked_us=11 * DAY_US)

    assert late.advance(11 * DAY_US + 1_000_000, 1001.0, pace=2.0).at_us == 10 * DAY_US + 2_000_000


def test_a_jump_back_moves_it_nowhere_and_removes_no_more_than_is_asked() -> None:
    after = START.advance(3 * DAY_US, 1010.0, pace=1.1)

    assert (after.at_us, after.removable_us) == (10 * DAY_US, 3 * DAY_US)
    assert after.advance(10 * DAY_US, 1020.0, pace=1.1).at_us == 10 * DAY_US


def test_a_jump_is_told_from_a_minute_on_in_either_direction() -> None:
    assert START.jump(10 * DAY_US + 70_000_000, 1010.0) == 0
    assert START.jump(10 * DAY_US + 71_000_001, 1010.0) == 61
    assert START.jump(10 * DAY_US - 51_000_000, 1010.0) == -61
