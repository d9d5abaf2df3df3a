"""Readers of unverified bytes that run on every delivery, fuzzed by coverage; longer in `make soak`."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import missing
from tests.parsers import PARSERS


def _fuzz(seconds: int, *names: str) -> None:
    if find_spec("atheris") is None:
        missing("atheris", "there are wheels of it for Linux on x86-64")
    command = [sys.executable, "-m", "tests.fuzz", str(seconds), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)

    assert done.returncode == 0, done.stderr[-4000:]


def test_no_reader_of_deliveries_raises_or_hangs() -> None:
    assert sum(parser.hot for parser in PARSERS.values()) >= 8
    _fuzz(4)


@pytest.mark.soak
@pytest.mark.parametrize("name", PARSERS)
def test_no_reader_raises_or_hangs_for_half_a_minute(name: str) -> None:
    _fuzz(30, name)
