"""One child process, kept alive."""

import asyncio
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.process.children import Child, Orders, next_pause

CONFIG = "log: {path: PATH}\nsources: {stripe: {provider: stripe, secrets: [{dev: whsec_x}]}}\n"


def child(folder: Path) -> Child:
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.replace("PATH", str(folder / "var")))
    return Child(Orders(process="worker:nobody", settings=load(config, {})))


def test_a_process_that_ends_at_once_is_started_at_ever_longer_intervals_up_to_five_seconds() -> None:
    pauses = [0.1]
    for _ in range(8):
        pauses.append(next_pause(pauses[-1], lived=0.5))

    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_a_process_that_lived_is_started_again_at_once() -> None:
    assert next_pause(5.0, lived=10.1) == 0.1


@pytest.mark.parametrize("turns", range(12))
async def test_a_child_told_to_end_at_any_step_of_its_start_ends(tmp_path: Path, turns: int) -> None:
    started = child(tmp_path)
    keeping = asyncio.create_task(started.keep())
    for _ in range(turns):
        await asyncio.sleep(0)

    await started.end(5.0)

    await asyncio.wait_for(keeping, 10.0)
    process = started._process
    assert process is None or (process.returncode or 0) < 0, "left to itself until it ended of its own"
