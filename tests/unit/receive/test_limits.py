import pytest

from gateway.receive.limits import HeldBytes, TokenBucket, announced_length, media_type


def test_a_rate_lets_a_second_of_deliveries_through_and_then_names_the_wait():
    bucket = TokenBucket(2.0, 0.0)

    assert [bucket.take(0.0), bucket.take(0.0), bucket.take(0.0)] == [0, 0, 1]
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) == 1


def test_a_rate_below_one_a_second_lets_one_through_and_names_a_longer_wait():
    bucket = TokenBucket(0.1, 0.0)

    assert [bucket.take(0.0), bucket.take(0.0)] == [0, 10]
    assert bucket.take(10.0) == 0


def test_an_unused_rate_does_not_add_up():
    bucket = TokenBucket(2.0, 0.0)

    assert [bucket.take(1000.0) for _ in range(3)] == [0, 0, 1]


def test_a_clock_that_goes_back_gives_nothing_away():
    bucket = TokenBucket(1.0, 100.0)
    bucket.take(100.0)

    assert bucket.take(50.0) == 1


def test_one_client_cannot_use_up_what_is_held_for_all():
    held = HeldBytes(in_all=100, per_client=60)

    assert held.take("a", 60)
    assert not held.take("a", 1)
    assert held.take("b", 40)
    assert not held.take("c", 1)


def test_what_is_given_back_can_be_taken_again():
    held = HeldBytes(in_all=100, per_client=60)
    held.take("a", 60)

    held.give_back("a", 60)

    assert held.total == 0
    assert held.take("a", 60)


def test_an_empty_piece_is_always_taken_and_leaves_no_trace():
    held = HeldBytes(in_all=0, per_client=0)

    assert held.take("a", 0)
    held.give_back("a", 0)
    assert held.total == 0


@pytest.mark.parametrize(
    "text,length",
    [(b"12", 12), (b"", None), (b"-1", None), (b"1e3", None), (b"9" * 19, None), (b"\xb2", None), (None, None)],
)
def test_an_announced_length_is_digits_or_nothing(text, length):
    headers = {} if text is None else {b"content-length": text}

    assert announced_length(headers) == length


@pytest.mark.parametrize(
    "header,expected",
    [
        (b"application/json; charset=utf-8", "application/json"),
        (b" Text/XML ", "text/xml"),
        (None, ""),
        (b"\xff\xfe", "\xff\xfe"),
    ],
)
def test_a_media_type_has_no_parameters(header, expected):
    assert media_type(header) == expected
