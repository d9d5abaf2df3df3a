"""The pure decisions of `handle`: retries, breaker, rates, gates, and what is kept of a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Backoff, GiveUp, Retry
from gateway.core.versions import VersionError
from gateway.handle import failures
from gateway.handle.breaker import IN_A_ROW, OF_LAST, Breaker
from gateway.handle.gates import Gate
from gateway.handle.rates import Bucket
from gateway.handle.retrying import Dead, Inline, Park, after_failure, pause

DAY = 86400.0
PLAIN = ValueError("x")


def decide(signal: BaseException = PLAIN, *, attempt: int = 1, elapsed: float = 0.0, policy: Backoff | None = None):
    return after_failure(policy or Backoff(), attempt, signal, elapsed=elapsed, jitter=0.0, now_us=0)


@pytest.mark.parametrize(
    "signal, attempt, elapsed, expected",
    [
        pytest.param(PLAIN, 1, 0.0, Inline(1.0), id="first failure is retried in place"),
        pytest.param(PLAIN, 2, 1.0, Inline(4.0), id="so is the second, later"),
        pytest.param(PLAIN, 3, 5.0, Park(16_000_000), id="the third is parked"),
        pytest.param(PLAIN, 2, 7.0, Park(4_000_000), id="a slow handler is parked before ten seconds are over"),
        pytest.param(PLAIN, 19, 0.0, Park(21_600_000_000), id="pauses grow to six hours"),
        pytest.param(PLAIN, 20, 0.0, Dead("attempts"), id="the last attempt ends it"),
        pytest.param(Retry(), 1, 0.0, Inline(1.0), id="a plain Retry follows the policy"),
        pytest.param(Retry(after=0.5), 1, 0.0, Inline(0.5), id="a short Retry stays in place"),
        pytest.param(Retry(after=60), 1, 0.0, Park(60_000_000), id="a long Retry is parked"),
        pytest.param(Retry(after=0), 3, 0.0, Park(0), id="asking at once for ever does not hold the lane"),
        pytest.param(Retry(after=1), 20, 0.0, Dead("attempts"), id="a Retry counts as an attempt"),
        pytest.param(GiveUp("no"), 1, 0.0, Dead("gave_up"), id="giving up ends it"),
        pytest.param(VersionError("no"), 1, 0.0, Dead("gave_up"), id="a missing version will still be missing"),
        pytest.param(SystemExit(1), 1, 0.0, Inline(1.0), id="an exit is a failure like any other"),
    ],
)
def test_what_follows_a_failed_run(signal, attempt, elapsed, expected) -> None:
    assert decide(signal, attempt=attempt, elapsed=elapsed) == expected


def test_the_default_policy_tries_for_about_three_days() -> None:
    policy = Backoff()

    total = sum(pause(policy, attempt, 0.0) for attempt in range(1, policy.attempts))

    assert 2.5 * DAY < total < 3.5 * DAY


@given(attempt=st.integers(1, 999), chance=st.floats(-1.0, 1.0))
def test_a_pause_stays_within_its_bounds_whatever_the_chance(attempt: int, chance: float) -> None:
    policy = Backoff(attempts=1000, factor=100.0, most=50.0, jitter=0.5)

    assert 0.0 < pause(policy, attempt, chance) <= 75.0


def test_twenty_deaths_in_a_row_trip_the_breaker() -> None:
    breaker = Breaker()

    tripped = [breaker.record(dead=True) for _ in range(IN_A_ROW)]

    assert tripped == [False] * (IN_A_ROW - 1) + [True]


def test_half_of_the_last_two_hundred_trips_the_breaker_and_less_does_not() -> None:
    half, fewer = Breaker(), Breaker()

    half_tripped = [half.record(dead=number % 2 == 1) for number in range(OF_LAST)]
    fewer_tripped = [fewer.record(dead=number % 3 == 0) for number in range(5 * OF_LAST)]

    assert half_tripped == [False] * (OF_LAST - 1) + [True]
    assert not any(fewer_tripped)


def test_old_deaths_no_longer_count() -> None:
    breaker = Breaker()
    for number in range(OF_LAST):
        breaker.record(dead=number % 2 == 0 and number < 198)
    for _ in range(OF_LAST):
        breaker.record(dead=False)

    assert not any(breaker.record(dead=number % 2 == 0) for number in range(100))


def test_a_reset_breaker_starts_afresh() -> None:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        breaker.record(dead=True)
    breaker.reset()

    assert not breaker.record(dead=True)


@given(rate=st.floats(0.1, 100.0), steps=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60))
def test_a_bucket_never_lets_more_begin_than_its_rate(rate: float, steps: list[float]) -> None:
    bucket, now, begun = Bucket(rate), 0.0, 0
    for step in steps:
        now += step
        while bucket.wait(now) == 0.0:
            bucket.take()
            begun += 1

    assert begun <= now * rate + max(1.0, rate) + 0.001 * (begun + 1)


def test_waiting_as_told_is_enough() -> None:
    bucket = Bucket(0.5)
    bucket.take()

    wait = bucket.wait(10.0)

    assert wait == pytest.approx(2.0)
    assert bucket.wait(10.0 + wait) == 0.0


def test_a_full_gate_waits_for_a_run_to_end() -> None:
    gate = Gate("h", limit=1)
    gate.enter()

    assert gate.wait(0.0) is None

    gate.leave()

    assert gate.wait(0.0) == 0.0


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even its text fails")


@pytest.mark.parametrize(
    "error",
    [HostileError(), ValueError("x" * 100_000), ExceptionGroup("many", [ValueError("\ud800")]), KeyboardInterrupt()],
    ids=["text fails", "huge", "group", "interrupt"],
)
def test_what_is_kept_of_a_failure_is_bounded_text_whatever_was_raised(error: BaseException) -> None:
    text, trace = failures.error_text(error), failures.trace_text(error)

    assert 0 < len(text) <= failures.MOST_ERROR
    assert 0 < len(trace) <= failures.MOST_TRACE
    assert type(error).__name__ in text
