"""When a lane refuses at once, and when it tries again."""

from gateway.keep.kafka.breaker import Breaker


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(failures=1, stuck_after=5.0, probe_every=0.5)
    breaker.failed(at)
    return breaker


def test_failures_that_are_not_in_a_row_leave_it_closed() -> None:
    breaker = Breaker(failures=3)
    for _ in range(4):
        breaker.failed(1.0)
        breaker.failed(1.0)
        assert breaker.admits(1.0, None)
        breaker.succeeded()


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures=3)
    for _ in range(3):
        assert breaker.admits(1.0, None)
        breaker.failed(1.0)

    assert not breaker.admits(1.1, None)


def test_a_batch_in_flight_for_too_long_opens_it() -> None:
    breaker = Breaker(stuck_after=5.0)

    assert breaker.admits(14.9, 10.0)
    assert not breaker.admits(15.1, 10.0)


def test_a_look_opens_it_without_a_request() -> None:
    breaker = Breaker(stuck_after=5.0)

    assert not breaker.look(14.9, 10.0)
    assert breaker.look(15.1, 10.0)
    assert breaker.opened_at == 15.1


def test_while_open_one_request_goes_through_each_half_second() -> None:
    breaker = opened(at=100.0)

    moments = [100.1, 100.4, 100.6, 100.7, 101.0, 101.2]

    assert [moment for moment in moments if breaker.admits(moment, None)] == [100.6, 101.2]


def test_a_success_closes_it() -> None:
    breaker = opened()

    breaker.succeeded()

    assert all(breaker.admits(100.1, None) for _ in range(3))


def test_it_stays_open_from_when_it_opened_through_further_failures() -> None:
    breaker = opened(at=100.0)

    breaker.failed(103.0)
    breaker.look(200.0, 101.0)

    assert breaker.opened_at == 100.0
