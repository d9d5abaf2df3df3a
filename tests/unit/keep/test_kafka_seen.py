"""The table of durable ids against a model: exactly the newest are known, and nothing else ever is."""

import os
from collections import OrderedDict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.keep.kafka.seen import Seen
from tests.log_builders import make_event

BODIES = [bytes([number]) * 8 for number in range(3)]
# Few of them, so that they meet; ids of zeros are what an empty place of the table looks like.
IDS = [bytes([number]) * 16 for number in range(6)]


class Model:
    """The same rules on a dictionary: the first body under its id, a further one under id and body."""

    def __init__(self, max_ids: int) -> None:
        self._max = max_ids
        self._kept: OrderedDict[tuple[bytes, ...], bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def look(self, identity: bytes) -> bytes | None:
        return self._kept.get((identity,))

    def remember(self, identity: bytes, digest: bytes) -> bool:
        first = self._kept.get((identity,))
        key = (identity,) if first is None else (identity, digest)
        if first == digest or key in self._kept:
            return False
        self._kept[key] = digest
        if len(self._kept) > self._max:
            self._kept.popitem(last=False)
        return True


@given(st.integers(1, 8), st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(BODIES)), max_size=60))
def test_it_knows_what_a_dictionary_that_forgets_the_oldest_knows(max_ids, remembered):
    seen, model = Seen(max_ids), Model(max_ids)

    for identity, digest in remembered:
        assert seen.remember(identity, digest) == model.remember(identity, digest)
        assert [seen.look(each) for each in IDS] == [model.look(each) for each in IDS]
        assert len(seen) == len(model)


def test_the_newest_ids_are_known_and_the_oldest_forgotten_through_many_turns_of_the_ring():
    seen = Seen(1000)
    ids = [os.urandom(16) for _ in range(5_500)]

    for number, identity in enumerate(ids):
        seen.remember(identity, number.to_bytes(8, "big"))

    assert [seen.look(identity) for identity in ids[-1000:]] == [
        number.to_bytes(8, "big") for number in range(4_500, 5_500)
    ]
    assert not any(seen.look(identity) for identity in ids[:-1000])
    assert len(seen) == 1000


def test_nothing_is_known_that_was_not_remembered():
    seen = Seen(10_000)
    for _ in range(10_000):
        seen.remember(os.urandom(16), os.urandom(8))

    assert not any(seen.look(os.urandom(16)) for _ in range(10_000))
    assert seen.look(bytes(16)) is None


def test_an_id_that_differs_in_its_last_bit_is_another():
    seen = Seen(4)
    seen.remember(b"a" * 16, BODIES[0])

    assert seen.look(b"a" * 15 + b"`") is None


def test_two_million_ids_take_no_memory_before_they_come():
    before = _resident_bytes()

    seen = Seen(2_000_000)

    assert _resident_bytes() - before < 8 * 2**20
    assert seen.look(b"a" * 16) is None


def test_a_million_ids_fit_into_a_hundred_megabytes():
    seen = Seen(1_000_000)

    reserved = len(seen._ring) + seen._older.nbytes + seen._heads.nbytes

    assert reserved <= 100_000_000


def test_the_same_body_is_a_copy_whether_the_id_is_signed_or_not():
    for signed in (True, False):
        seen, event = Seen(10), make_event("evt_1", signed=signed)
        assert seen.judge(event) == "new"

        seen.remember(event.identity, event.body_sha256)

        assert seen.judge(make_event("evt_1", signed=signed)) == "copy"


def test_another_body_under_a_signed_id_differs_and_stays_a_copy():
    seen, event = Seen(10), make_event("evt_1", signed=True)
    seen.remember(event.identity, event.body_sha256)

    assert seen.judge(make_event("evt_1", body=b"{}", signed=True)) == "body_differs"


def test_another_body_under_an_unsigned_id_is_a_conflict_once_and_then_a_copy():
    seen, first, other = Seen(10), make_event("evt_1"), make_event("evt_1", body=b"{}")
    seen.remember(first.identity, first.body_sha256)

    assert seen.judge(other) == "conflict"
    assert seen.remember(other.identity, other.body_sha256)
    assert seen.judge(other) == "copy"
    assert seen.judge(first) == "copy"
    assert seen.judge(make_event("evt_1", body=b"[]")) == "conflict"


def test_a_thousand_bodies_under_one_id_are_told_apart():
    seen = Seen(10_000)
    for number in range(1000):
        assert seen.remember(b"a" * 16, number.to_bytes(8, "big"))

    assert not any(seen.remember(b"a" * 16, number.to_bytes(8, "big")) for number in range(1000))
    assert seen.look(b"a" * 16) == bytes(8)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
