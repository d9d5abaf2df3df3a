"""Shared by the acceptance tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.newcomer import User, newcomer


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with newcomer(tmp_path) as made:
        yield made
