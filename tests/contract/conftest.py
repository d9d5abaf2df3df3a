"""The stores that the contract of `Store` is run on; each engine is one factory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.keep.ports import Store
from tests.state_builders import SCHEMA, FakeClock, in_memory, opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    file = opened(tmp_path / "state" / "billing.db", now_us=clock.now_us)
    async with file if request.param == "sqlite" else in_memory(clock.now_us) as state:
        state.store._monotonic = clock.monotonic
        await state.store.apply_schema(SCHEMA)
        yield state.store
