import pytest

from gateway.keep.sqlite.expiry import DAY_US, ExpiryClock

NOW_US = 1_700_000_000_000_000
MINUTE_US = 60_000_000
CLOCK = ExpiryClock(now_us=NOW_US, wall_us=NOW_US, steady=0.0)


def test_the_expiry_clock_goes_with_the_wall_clock() -> None:
    clock = CLOCK.advance(NOW_US + MINUTE_US, 60.0)

    assert (clock.now_us, clock.jumped_us) == (NOW_US + MINUTE_US, 0)


def test_after_a_long_stop_it_catches_up_at_twice_the_pace_of_time() -> None:
    late = ExpiryClock(now_us=NOW_US - 10 * DAY_US, wall_us=NOW_US, steady=0.0)

    clock = late.advance(NOW_US + MINUTE_US, 60.0)

    assert clock.now_us == NOW_US - 10 * DAY_US + 2 * MINUTE_US


def test_a_jump_forward_does_not_carry_it_along() -> None:
    jumped = CLOCK.advance(NOW_US + 400 * DAY_US + MINUTE_US, 60.0)
    later = jumped.advance(NOW_US + 400 * DAY_US + 2 * MINUTE_US, 120.0)

    assert jumped.jumped_us == 400 * DAY_US
    assert later.now_us <= NOW_US + 2 * MINUTE_US


def test_a_jump_back_stops_it_and_the_return_starts_it_again() -> None:
    back = CLOCK.advance(NOW_US - DAY_US, 60.0)
    returned = back.advance(NOW_US + 2 * MINUTE_US, 120.0)

    assert (back.now_us, back.jumped_us != 0) == (NOW_US, True)
    assert (returned.now_us, returned.jumped_us) == (NOW_US + 2 * MINUTE_US, 0)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_many_small_looks_never_gain_more_than_time_allows(steps: int) -> None:
    clock = ExpiryClock(now_us=NOW_US - 365 * DAY_US, wall_us=NOW_US, steady=0.0)

    for step in range(1, steps + 1):
        clock = clock.advance(NOW_US + step * MINUTE_US, step * 60.0)

    assert clock.now_us == NOW_US - 365 * DAY_US + 2 * steps * MINUTE_US
