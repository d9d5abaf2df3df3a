"""Fills a log quickly, through the log's own append, so that what is measured is the product's own file."""

import asyncio
from pathlib import Path

import uvloop

from gateway.core.event import Event
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from tests.log_builders import make_event

_AT_ONCE = 2000
_KEYS = 64
_BODY = b'{"action":"stored"}' + b" " * 200


def prefill(folder: Path, count: int) -> None:
    """Store `count` small GitHub pushes in the log of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    uvloop.run(_prefill(folder, count))


async def _prefill(folder: Path, count: int) -> None:
    log = SqliteLog(LogOptions(folder=folder, min_free=0), wake=lambda: None, on_poison=lambda: None)
    for start in range(0, count, _AT_ONCE):
        events = [stored_event(number) for number in range(start, min(count, start + _AT_ONCE))]
        await asyncio.gather(*log.append(events))
    await log.close()


def stored_event(number: int) -> Event:
    """Return one small GitHub push."""
    return make_event(
        f"stored-{number}", source="github", provider="github", type="push", key=str(number % _KEYS), body=_BODY
    )
