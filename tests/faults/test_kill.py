"""`kill -9` of the edge, the worker, both or the supervisor, at random moments under load.

A ledger keeps every 2xx. Afterwards each acknowledged event must be in the log once, and its effect through `ctx.tx`
must exist exactly once. What was not acknowledged is sent again, as a provider does, and may be stored at most once.
"""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.running import RunningGateway, running, until
from tests.sender import Connection, stripe_body, stripe_headers

SENDERS = 8


class Ledger:
    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.sent = 0

    async def send_until_acknowledged(self, port: int, stop: asyncio.Event, prefix: str) -> None:
        connection = Connection(port)
        while not stop.is_set():
            self.sent += 1
            event_id = f"evt_{prefix}_{self.sent}"
            while event_id not in self.acknowledged:
                body = stripe_body(event_id, key=f"in_{self.sent % 50}", filler=500)
                answer = await connection.post("/webhooks/stripe", body, stripe_headers(body))
                if answer.acknowledged:
                    self.acknowledged.add(event_id)
                else:
                    assert answer.status in (0, 503), answer
                    await asyncio.sleep(0.02)
        connection.close()


async def load_while_killing(gateway: RunningGateway, ledger: Ledger, *, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(SENDERS):
            tasks.create_task(ledger.send_until_acknowledged(gateway.port, stop, f"{seed}_{number}"))
        for _ in range(rounds):
            target = len(ledger.acknowledged) + chance.randrange(20, 400)
            await asyncio.to_thread(until, lambda goal=target: len(ledger.acknowledged) >= goal, deadline=60)
            for process in chance.choice([("edge",), ("worker:ledger",), ("edge", "worker:ledger")]):
                await asyncio.to_thread(gateway.kill, process)
        stop.set()


def assert_nothing_lost_nothing_twice(gateway: RunningGateway, ledger: Ledger) -> None:
    stored = Counter(gateway.stored_ids())
    assert ledger.acknowledged <= stored.keys(), "acknowledged, but not in the log"
    assert not [event for event, times in stored.items() if times > 1], "stored twice"

    until(lambda: stored.keys() <= set(gateway.effects()), deadline=60, what="the effect of every stored event")
    assert not [event for event, times in Counter(gateway.effects()).items() if times > 1], "an effect happened twice"


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_processes_lose_no_acknowledged_event_and_repeat_no_effect(tmp_path: Path, seed: int) -> None:
    ledger = Ledger()
    with running(tmp_path) as gateway:
        await load_while_killing(gateway, ledger, rounds=6, seed=seed)

        assert_nothing_lost_nothing_twice(gateway, ledger)


async def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_loses_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    with running(tmp_path) as gateway:
        await load_while_killing(gateway, ledger, rounds=1, seed=3)
        pids = [gateway.pid("edge"), gateway.pid("worker:ledger")]

        gateway.kill("supervisor")
        assert gateway.process is not None
        gateway.process.wait(10)
        until(lambda: not any(pid and Path(f"/proc/{pid}").exists() for pid in pids), what="the end of the children")
        gateway.start()

        assert_nothing_lost_nothing_twice(gateway, ledger)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_killed_processes_over_many_rounds(tmp_path: Path) -> None:
    for seed in range(int(os.environ.get("SOAK_ROUNDS", "20"))):
        folder = tmp_path / str(seed)
        folder.mkdir()
        ledger = Ledger()
        with running(folder) as gateway:
            await load_while_killing(gateway, ledger, rounds=25, seed=1000 + seed)

            assert_nothing_lost_nothing_twice(gateway, ledger)
