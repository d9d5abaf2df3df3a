"""Commands run in this process on a small gateway folder, made with the real engine and no process running."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import wiring
from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.settings import Settings
from gateway.core.admission import Events, Request
from gateway.core.event import Event
from gateway.core.source import SignRequest
from gateway.keep.ports import MarkKey, Pair, Stored
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.state import LogPlace, SqliteState, register
from gateway.wiring import embedded

START_US = 1_790_000_000_000_000
HOSTILE = "evt_\x1b[2J\u202e"

CONFIG = """\
server: {port: 1, admin_port: 2}
log: {min_free: 1MiB}
sources:
  acme:
    provider: custom
    secrets: [{dev: canary-secret}]
    scheme: {signature: {header: x-signature}}
    event: {id: "json:id", type: "json:type", time: "json:at", key: "json:customer"}
routers:
  billing: {use: "billing_handlers:router"}
"""

HANDLERS = """
from gateway import Context, Event, Router

router = Router("billing")


@router.on("invoice.*", name="record-invoice")
async def record_invoice(event: Event, ctx: Context) -> None:
    pass


@router.on("*", name="notify")
async def notify(event: Event, ctx: Context) -> None:
    pass
"""


@dataclass
class Ran:
    """What a command left: its exit status and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Commands:
    """Runs commands in `folder`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: str) -> Ran:
        self._capsys.readouterr()
        status = main(words)
        captured = self._capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """Run with `--output jsonl`, which must succeed; return what was printed."""
        ran = self(*words, "--output", "jsonl")
        assert ran.status == 0, ran.err
        return ran.rows


def folder_with_config(folder: Path, config: str = CONFIG) -> Path:
    (folder / "config").mkdir(parents=True)
    (folder / "config/gateway.yaml").write_text(config)
    (folder / "billing_handlers.py").write_text(HANDLERS)
    return folder


def settings_of(folder: Path) -> Settings:
    return load(folder / "config/gateway.yaml", {})


def body(number: int, event_id: str, event_type: str = "invoice.paid") -> bytes:
    at = START_US // 1_000_000 + number
    return json.dumps({"id": event_id, "type": event_type, "at": at, "customer": f"c{number % 2}"}).encode()


def admitted(
    settings: Settings, number: int, event_id: str, event_type: str = "invoice.paid", *, raw: bytes = b""
) -> Event:
    """Return an event as the edge would store it; `raw` is its body, if it is not the usual one."""
    (source,) = wiring.sources(settings).values()
    assert source.sign is not None
    now_us = START_US + number * 1_000_000
    sent = raw or body(number, event_id, event_type)
    wanted = SignRequest(body=sent, now_us=now_us, event_id="x", event_type=event_type)
    signed = source.sign(wanted)
    request = Request(
        method=signed.method,
        query=signed.query,
        headers={name.encode(): value.encode() for name, value in signed.headers.items()},
        repeated=frozenset(),
        body=signed.body,
        received_us=now_us,
        delivery_id=f"delivery-{number}",
    )
    decision = source.admit(request, now_us)
    assert isinstance(decision, Events)
    return decision.events[0]


def store(settings: Settings, events: Sequence[Event]) -> None:
    """Append `events` to the log, durably."""

    async def append() -> None:
        options = LogOptions(folder=settings.log.path, min_free=settings.log.min_free)
        log = SqliteLog(options, wake=lambda: None, on_poison=lambda: None)
        for event in events:
            await asyncio.gather(*log.append([event]))
        await log.close()

    asyncio.run(append())


def with_state(settings: Settings, change: Callable[[SqliteState, list[Stored]], Any]) -> None:
    """Register the router at the log's beginning, and change its state by `change(state, stored)`."""

    async def run() -> None:
        path = embedded.log_path(settings.log)
        reader = SqliteReader(path)
        stored = list(reader.read_after(0, 100, 2**20))
        place = LogPlace(reader.log_id(), reader.last_seq())
        reader.close()
        state_path = embedded.state_path(settings.log, "billing")
        state_path.parent.mkdir(parents=True, exist_ok=True)
        register(state_path, "billing", place.log_id, 0)
        state = SqliteState.open(state_path, router="billing", log=place)
        try:
            await asyncio.gather(*change(state, stored))
        finally:
            await state.close()

    asyncio.run(run())


def first_done_second_dead(state: SqliteState, stored: list[Stored]) -> list[Any]:
    """The first event is done by `notify`, the second one is a dead letter of it."""
    first, second = stored[0], stored[1]
    assert first.event is not None
    assert second.event is not None
    pair = Pair(handler="notify", event=second.event, position=second.position, attempt=3)
    return [
        state.store.mark(MarkKey("notify", first.event.dedupe_key), "done", version=None, attempt=1),
        state.parking.bury(pair, reason="gave_up", error="Boom\x1b[31m", trace="Traceback\x1b[2J\n  line"),
    ]
