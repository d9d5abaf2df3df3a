import logging
import os
import stat
from typing import Any

import pytest

from gateway.receive import rejections
from gateway.receive.rejections import FILE_NAME, RING, ROTATED_NAME, Rejection, Rejections, read_rejections


def make_rejection(number: int = 1, **over: Any) -> Rejection:
    values: dict[str, Any] = {
        "at_us": number,
        "delivery_id": f"id-{number}",
        "source": "acme",
        "reason": "signature_mismatch",
        "status": 401,
        "client": "192.0.2.1",
    }
    return Rejection(**(values | over))


async def test_what_is_written_is_read_back_newest_first(tmp_path):
    kept = Rejections(tmp_path)
    for number in range(3):
        kept.add(make_rejection(number, signature_age=1.5, header_names=("x-a",)))

    await kept.flush()

    assert read_rejections(tmp_path, limit=2) == [
        make_rejection(number, signature_age=1.5, header_names=("x-a",)) for number in (2, 1)
    ]


async def test_the_file_is_for_its_owner_alone(tmp_path):
    kept = Rejections(tmp_path)
    kept.add(make_rejection())
    former = os.umask(0o022)

    await kept.flush()

    os.umask(former)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_memory_holds_the_last_thousand():
    kept = Rejections(None)

    for number in range(RING + 5):
        kept.add(make_rejection(number))

    assert [rejection.at_us for rejection in kept.recent()] == list(range(5, RING + 5))


async def test_the_files_are_rotated_and_stay_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(rejections, "FILE_BYTES", 2000)
    kept = Rejections(tmp_path)

    for number in range(200):
        kept.add(make_rejection(number))
        await kept.flush()

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([FILE_NAME, ROTATED_NAME])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5000
    assert read_rejections(tmp_path, limit=1)[0].at_us == 199


async def test_a_torn_line_costs_only_itself(tmp_path):
    kept = Rejections(tmp_path)
    kept.add(make_rejection(1))
    await kept.flush()
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b'{"at_us": 2, "deli\xff')

    assert read_rejections(tmp_path, limit=10) == [make_rejection(1)]


def test_nothing_written_is_nothing_to_read(tmp_path):
    assert read_rejections(tmp_path, limit=10) == []


async def test_a_flood_of_refusals_is_one_line_of_log_for_each_source_and_reason(caplog):
    kept = Rejections(None)
    for _ in range(500):
        kept.add(make_rejection())
    kept.add(make_rejection(reason="timestamp_stale"))

    with caplog.at_level(logging.INFO, logger="gateway.receive"):
        await kept.flush()
        await kept.flush()

    said = [(record.getMessage(), record.__dict__["reason"], record.__dict__["count"]) for record in caplog.records]
    assert said == [("delivery.refused", "signature_mismatch", 500), ("delivery.refused", "timestamp_stale", 1)]


async def test_a_file_that_cannot_be_written_is_said_and_nothing_more(tmp_path, caplog):
    (tmp_path / "taken").write_text("a file where the folder should be")
    kept = Rejections(tmp_path / "taken")
    kept.add(make_rejection())

    await kept.flush()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "rejections.not_written"
    ]


@pytest.mark.parametrize("field", ["body", "headers", "signature"])
def test_a_rejection_has_no_place_for_what_the_sender_wrote(field):
    assert field not in Rejection.__struct_fields__
