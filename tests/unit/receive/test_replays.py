from gateway.receive.replays import BodyMemory


def test_an_old_body_under_a_new_id_is_noticed():
    bodies = BodyMemory(10)

    assert not bodies.came_under_another_id(b"digest", "first")
    assert bodies.came_under_another_id(b"digest", "second")


def test_a_redelivery_of_the_same_id_is_none():
    bodies = BodyMemory(10)

    assert not bodies.came_under_another_id(b"digest", "first")
    assert not bodies.came_under_another_id(b"digest", "first")


def test_the_oldest_body_is_forgotten_first():
    bodies = BodyMemory(2)
    for number in range(3):
        bodies.came_under_another_id(b"digest %d" % number, "first")

    assert bodies.came_under_another_id(b"digest 1", "second")
    assert not bodies.came_under_another_id(b"digest 0", "second")
