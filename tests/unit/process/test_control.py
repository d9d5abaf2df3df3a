"""Calls to a process that dies while it answers."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.errors import DependencyError
from gateway.process import control

HALF = b'{"result": {"pid": 1'


async def dying(path: Path) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(HALF)
        writer.close()

    return await asyncio.start_unix_server(answer, path)


async def test_half_an_answer_is_no_answer_to_the_supervisor(tmp_path: Path) -> None:
    async with await dying(tmp_path / "x.sock"):
        with pytest.raises(DependencyError):
            await control.call(tmp_path / "x.sock", "ping", deadline=5.0)


async def test_half_an_answer_is_no_answer_to_a_command(tmp_path: Path) -> None:
    async with await dying(tmp_path / "x.sock"):
        client = control.ControlClient(tmp_path / "x.sock", deadline=5.0)
        with pytest.raises(DependencyError):
            await asyncio.to_thread(client.call, "ping")
