from gateway.receive.identifiers import DeliveryIds

SECOND = 1_000_000


def test_delivery_ids_are_unique_and_sorted_by_arrival():
    ids = DeliveryIds()

    made = [ids.next(1_790_000_000 * SECOND + step * 300_000) for step in range(1000)]

    assert len(set(made)) == 1000
    assert made == sorted(made)
    assert {len(text) for text in made} == {26}


def test_a_clock_that_goes_back_does_not_disorder_them():
    ids = DeliveryIds()

    assert ids.next(1_790_000_000 * SECOND) < ids.next(1_780_000_000 * SECOND)


def test_two_processes_never_make_the_same():
    first, second = DeliveryIds(), DeliveryIds()

    assert first.next(0) != second.next(0)
