"""The files of the quarantine: exact, whole, bounded in bytes and age, shared by the edges of one machine."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.receive import quarantined
from gateway.receive.quarantined import FOLDER, Bounds, Held
from tests.quarantine_rig import BOUNDS, MINUTE_US, entry_of, ids, make, put

BLOCK = 4096


def test_a_delivery_is_read_back_exactly_as_it_came(tmp_path):
    headers = ((b"x-a", b"\xff\x01"), (b"x-b", b""), (b"x-a", b"second"), (b"stripe-signature", b"t=1"))
    delivery = make(query=b"a=%00&b=\xff", headers=headers, body=bytes(range(256)), method="PUT")

    put(tmp_path, delivery)

    assert quarantined.read(tmp_path, "acme", entry_of(tmp_path, delivery.id)) == delivery
    request = delivery.request()
    assert request.headers[b"x-a"] == b"\xff\x01, second"
    assert request.repeated == {b"x-a"}
    assert (request.received_us, request.delivery_id) == (delivery.at_us, delivery.id)


def test_files_are_for_their_owner_alone(tmp_path):
    former = os.umask(0)
    try:
        put(tmp_path, make())
    finally:
        os.umask(former)

    (path,) = (tmp_path / FOLDER / "acme").glob("*.*.*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_beyond_the_bound_of_bytes_the_oldest_are_forgotten(tmp_path):
    bounds = Bounds(max_bytes=3 * BLOCK, max_age=1e9)
    put(tmp_path, make(2), make(1), make(3), bounds=bounds)

    held, lost = quarantined.keep(tmp_path, "acme", [make(4), make(5)], bounds, 5 * MINUTE_US)

    assert [each[-1] for each in ids(tmp_path)] == ["3", "4", "5"]
    assert (held, lost) == (Held(3, 3 * BLOCK), 0)


def test_a_delivery_larger_than_the_bound_displaces_nothing_that_fits(tmp_path):
    bounds = Bounds(max_bytes=2 * BLOCK, max_age=1e9)
    put(tmp_path, make(1), bounds=bounds)

    _, lost = quarantined.keep(tmp_path, "acme", [make(2, body=b"x" * 9000)], bounds, 2 * MINUTE_US)

    assert lost == 1
    assert [each[-1] for each in ids(tmp_path)] == ["1"]


def test_of_many_at_once_those_that_fit_are_kept(tmp_path):
    bounds = Bounds(max_bytes=2 * BLOCK, max_age=1e9)

    held, lost = quarantined.keep(tmp_path, "acme", [make(n) for n in range(1, 6)], bounds, 5 * MINUTE_US)

    assert [each[-1] for each in ids(tmp_path)] == ["4", "5"]
    assert (held.deliveries, lost) == (2, 3)


def test_what_is_too_old_is_forgotten_by_a_sweep_and_by_the_next_delivery(tmp_path):
    put(tmp_path, make(1), make(50))

    held = quarantined.sweep(tmp_path, "acme", BOUNDS, 62 * MINUTE_US)
    after_the_sweep = ids(tmp_path)
    quarantined.keep(tmp_path, "acme", [make(111)], BOUNDS, 111 * MINUTE_US)

    assert [each[-2:] for each in after_the_sweep] == ["50"]
    assert held.deliveries == 1
    assert [each[-3:] for each in ids(tmp_path)] == ["111"]


def test_there_are_never_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(quarantined, "MOST_FILES", 3)

    put(tmp_path, *(make(n) for n in range(1, 6)))

    assert [each[-1] for each in ids(tmp_path)] == ["3", "4", "5"]


@pytest.mark.parametrize("left", [b"", b"\x89half", b"\xff" * 50], ids=["empty", "half", "nonsense"])
def test_what_a_power_cut_left_torn_is_no_delivery_and_can_be_removed(tmp_path, left):
    put(tmp_path, make(1), make(2))
    torn = entry_of(tmp_path, make(1).id)
    (tmp_path / FOLDER / "acme" / torn.name).write_bytes(left)

    assert quarantined.read(tmp_path, "acme", torn) is None
    assert quarantined.forget(tmp_path, "acme", torn)
    assert not quarantined.forget(tmp_path, "acme", torn)
    assert [each[-1] for each in ids(tmp_path)] == ["2"]


def test_what_a_killed_writer_left_half_is_swept_away(tmp_path):
    put(tmp_path, make(1))
    folder = tmp_path / FOLDER / "acme"
    (folder / ".0000000000000002.x.9.77").write_bytes(b"half")
    (folder / "notes.txt").write_text("somebody else's")

    quarantined.sweep(tmp_path, "acme", BOUNDS, MINUTE_US)

    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".lock", "notes.txt", entry_of(tmp_path, make(1).id).name]
    )


def test_several_writers_together_keep_the_bound(tmp_path):
    bounds = Bounds(max_bytes=20 * BLOCK, max_age=1e9)

    def write(first: int) -> None:
        for number in range(first, 400, 4):
            quarantined.keep(tmp_path, "acme", [make(number)], bounds, number * MINUTE_US)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (1, 2, 3, 4)))

    assert len(ids(tmp_path)) == 20


def test_only_names_of_sources_are_sources(tmp_path):
    put(tmp_path, make(source="acme"), make(source="b-2"))
    (tmp_path / FOLDER / "..hidden").mkdir()
    (tmp_path / FOLDER / "UPPER").mkdir()

    assert quarantined.sources(tmp_path) == ["acme", "b-2"]
    assert quarantined.sources(tmp_path / "none") == []
