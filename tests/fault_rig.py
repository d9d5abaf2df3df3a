"""What the fault tests need around a running gateway: configurations, a load, and a look into what was kept."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from prometheus_client.parser import text_string_to_metric_families

from gateway.keep.ports import DeadLetter
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from tests.running import RunningGateway
from tests.sender import Answer, Connection, github_headers, stripe_body, stripe_headers

SOURCES = """\
  stripe:
    provider: stripe
    secrets: [{{env: TEST_STRIPE_SECRET}}]
  stripe-eu:
    provider: stripe
    secrets: [{{env: TEST_STRIPE_SECRET}}]
  github:
    provider: github
    secrets: [{{env: TEST_GITHUB_SECRET}}]
"""


def configuration(*routers: str, log: str = "path: var, min_free: 1MiB") -> str:
    """Return a configuration of `running`, its routers in modules `<name>_handlers`; `log` is in flow style."""
    lines = ["server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}", f"log: {{{{{log}}}}}", "sources:"]
    lines += [SOURCES.rstrip(), "routers:"]
    lines += [f'  {name}: {{{{use: "{name}_handlers:router"}}}}' for name in routers or ("ledger",)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Delivery:
    """One signed delivery; sending it twice sends the same bytes."""

    path: str
    body: bytes
    headers: dict[str, str]


def stripe(
    event_id: str, *, kind: str = "invoice.paid", key: str = "in_1", source: str = "stripe", filler: int = 0
) -> Delivery:
    body = stripe_body(event_id, kind=kind, key=key, filler=filler)
    return Delivery(f"/webhooks/{source}", body, stripe_headers(body))


def github(delivery_id: str, *, body: bytes = b'{"repository":{"id":1}}') -> Delivery:
    return Delivery("/webhooks/github", body, github_headers(body, delivery_id))


async def send_all(port: int, deliveries: Sequence[Delivery], *, connections: int = 8) -> list[Answer]:
    """Send over kept connections, each its share in order; the answers are in the order of the deliveries."""
    answers = [Answer(0)] * len(deliveries)

    async def share(first: int) -> None:
        connection = Connection(port)
        for number in range(first, len(deliveries), connections):
            delivery = deliveries[number]
            answers[number] = await connection.post(delivery.path, delivery.body, delivery.headers)
        connection.close()

    async with asyncio.TaskGroup() as tasks:
        for first in range(connections):
            tasks.create_task(share(first))
    return answers


def send(gateway: RunningGateway, *deliveries: Delivery, connections: int = 8) -> list[Answer]:
    return asyncio.run(send_all(gateway.port, deliveries, connections=min(connections, len(deliveries))))


def accept(gateway: RunningGateway, *deliveries: Delivery, connections: int = 8) -> None:
    """Send, and expect each to be acknowledged."""
    refused = [answer for answer in send(gateway, *deliveries, connections=connections) if not answer.acknowledged]
    assert not refused, refused[:3]


@dataclass
class Traffic:
    """What a load sent, and what it was answered."""

    acknowledged: set[str] = field(default_factory=set)
    refused: list[Answer] = field(default_factory=list)


@contextmanager
def traffic(gateway: RunningGateway, *, connections: int = 4, pause: float = 0.0, keys: int = 50) -> Iterator[Traffic]:
    """Send events from a thread of its own while the block runs; `pause` seconds between two of a connection."""
    found, stop = Traffic(), threading.Event()

    async def sender(number: int) -> None:
        connection, count = Connection(gateway.port), 0
        while not stop.is_set():
            count += 1
            event_id = f"evt_load_{number}_{count}"
            delivery = stripe(event_id, key=f"in_{count % keys}", filler=300)
            answer = await connection.post(delivery.path, delivery.body, delivery.headers)
            if answer.acknowledged:
                found.acknowledged.add(event_id)
            else:
                found.refused.append(answer)
                await asyncio.sleep(0.02)
            await asyncio.sleep(pause)
        connection.close()

    async def all_senders() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(connections):
                tasks.create_task(sender(number))

    thread = threading.Thread(target=lambda: asyncio.run(all_senders()))
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive(), "a sender was never answered"


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Read beside the owner of the file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5000)
    try:
        return list(connection.execute(sql, values))
    finally:
        connection.close()


def stored(gateway: RunningGateway) -> list[tuple[str, str, str]]:
    """Return (source, id, key) of every stored event, in stored order."""
    return [
        (str(source), str(event_id), str(key))
        for source, event_id, key in rows(
            gateway.log_path / "events.db", "select source, event_id, key from event order by seq"
        )
    ]


def effects(gateway: RunningGateway, router: str = "ledger") -> list[str]:
    """Return the ids of the effects in the order in which they came about; none before the worker made its table."""
    with suppress(apsw.CantOpenError, apsw.SQLError):
        path = gateway.log_path / "state" / f"{router}.db"
        return [str(event_id) for (event_id,) in rows(path, "select id from effect order by rowid")]
    return []


def dead(gateway: RunningGateway, router: str = "ledger") -> list[DeadLetter]:
    catalogue = SqliteCatalogue(gateway.log_path)
    try:
        return list(catalogue.dead_letters(router, limit=100))
    finally:
        catalogue.close()


def metric(gateway: RunningGateway, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that carry `labels`."""
    families = text_string_to_metric_families(gateway.admin("/metrics")[1])
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def lines(gateway: RunningGateway, event: str) -> list[dict[str, Any]]:
    """Return the lines of the gateway's log with that key."""
    output = gateway.output.read_text().splitlines()
    found = [json.loads(line) for line in output if line.startswith("{") and line.endswith("}")]
    return [line for line in found if line.get("event") == event]


def by_key(events: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str], list[str]]:
    """Return the ids of each (source, key), in order."""
    found: dict[tuple[str, str], list[str]] = {}
    for source, event_id, key in events:
        found.setdefault((source, key), []).append(event_id)
    return found


def told_to_come_again(answer: Answer) -> bool:
    return answer.status == 503 and "retry-after" in answer.headers


def command_rows(gateway: RunningGateway, *words: str) -> list[dict[str, Any]]:
    """Run a command, which must succeed, and return what it printed as JSON lines."""
    ran = gateway.command(*words, "--config", "gateway.yaml", "--output", "jsonl")
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@contextmanager
def frozen(gateway: RunningGateway, process: str) -> Iterator[None]:
    """Stop one process as a debugger or a starved machine does, and let it go on afterwards."""
    pid = gateway.pid(process)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def still_for(check: Any, seconds: float) -> bool:
    """Return whether `check` stays true for that long: nothing can announce that something will not happen."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if not check():
            return False
        time.sleep(0.05)
    return True
