"""Workers that stand still, are frozen, are away for long, or crash again and again: nothing is lost, order holds."""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.fault_handlers import BLOCKED_ONCE, in_trouble
from tests.fault_rig import accept, by_key, configuration, effects, frozen, lines, metric, send, stored, stripe, traffic
from tests.running import LEDGER, RunningGateway, running, until

# Runs take different times, so that without lanes the effects of a key would overtake each other.
UNEVEN = """
import asyncio
import random

from gateway import Context, Event, Router

router = Router("ledger", start="earliest", schema="create table if not exists effect (id text, attempt integer)")


@router.on("*", name="write-effect", order="{order}")
async def write_effect(event: Event, ctx: Context) -> None:
    await asyncio.sleep(random.uniform(0.0, 0.005))
    row = {{"id": event.id, "attempt": ctx.attempt}}
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", row)
"""

DIES_AT_START = """
import os
from contextlib import asynccontextmanager

from gateway import Context, Event, Router


@asynccontextmanager
async def lifespan():
    os._exit(7)
    yield


router = Router("doomed", lifespan=lifespan)


@router.on("*", name="never")
async def never(event: Event, ctx: Context) -> None:
    pass
"""


def effects_by_key(gateway: RunningGateway) -> dict[tuple[str, str], list[str]]:
    places = {(source, event_id): key for source, event_id, key in stored(gateway)}
    sources = {event_id: source for source, event_id in places}
    done = effects(gateway)
    return by_key([(sources[event_id], event_id, places[sources[event_id], event_id]) for event_id in done])


def assert_effects_in_stored_order(gateway: RunningGateway, *, deadline: float = 60.0) -> None:
    """Each stored event has its effect once, those of a (source, key) in stored order."""
    events = stored(gateway)
    until(lambda: len(effects(gateway)) >= len(events), deadline=deadline, what="every effect")

    assert effects_by_key(gateway) == by_key(events)


def test_a_frozen_worker_goes_on_where_it_stood_and_acks_never_wait_for_it(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        pid = gateway.pid("worker:ledger")

        with traffic(gateway) as sent:
            until(lambda: len(effects(gateway)) > 50)
            with frozen(gateway, "worker:ledger"):
                frozen_at = len(sent.acknowledged)
                until(lambda: len(sent.acknowledged) > frozen_at + 500, what="acks while the worker is frozen")

        assert sent.refused == []
        assert_effects_in_stored_order(gateway)
        assert gateway.pid("worker:ledger") == pid


def test_workers_whose_loop_stands_still_are_replaced_and_nothing_else_is_held_up(tmp_path: Path) -> None:
    handlers = {"ledger_handlers": LEDGER, "blocker_handlers": in_trouble("blocker", BLOCKED_ONCE)}
    config = configuration("ledger", "blocker", "well")
    handlers["well_handlers"] = in_trouble("well", "pass")
    with running(tmp_path, config=config, handlers=handlers) as gateway:
        names = ("worker:ledger", "worker:blocker")
        until(lambda: all(gateway.pid(name) for name in names))
        before = {name: gateway.pid(name) for name in names}
        standing = before["worker:ledger"]
        assert standing is not None

        with traffic(gateway, connections=2, pause=0.02) as sent:
            (answer,) = send(gateway, stripe("evt_block", kind="trouble"))
            os.kill(standing, signal.SIGSTOP)
            until(
                lambda: all(gateway.pid(name) not in (None, before[name]) for name in names),
                deadline=40,
                what="new workers",
            )

        assert answer.acknowledged
        assert sent.refused == []
        everything = {"evt_block"} | sent.acknowledged
        for router in ("ledger", "blocker", "well"):
            until(lambda router=router: everything == set(effects(gateway, router)), what=router)  # type: ignore[misc]
            assert len(effects(gateway, router)) == len(everything)
        assert {line["child"] for line in lines(gateway, "child.killed")} == set(names)


def test_a_worker_that_was_away_for_5000_events_catches_up_in_order_while_more_arrive(tmp_path: Path) -> None:
    chance = random.Random(5)
    events = [stripe(f"evt_{number}", key=f"in_{chance.randrange(40)}", filler=200) for number in range(5000)]
    handlers = {"ledger_handlers": UNEVEN.format(order="relaxed")}
    with running(tmp_path, words="serve", handlers=handlers) as gateway:
        accept(gateway, *events, connections=16)
        worker = RunningGateway(tmp_path, words="work", handlers=handlers)
        worker.log_path, worker.output = gateway.log_path, tmp_path / "worker.log"
        try:
            worker.start(wait=False)
            accept(gateway, *(stripe(f"evt_late_{number}", key=f"in_{number % 40}") for number in range(200)))

            assert_effects_in_stored_order(gateway)
            assert len(effects(gateway)) == 5200
        finally:
            worker.end()


@pytest.mark.parametrize("order", ["relaxed", "strict"])
def test_hundreds_of_keys_of_two_sources_keep_their_order_under_load(tmp_path: Path, order: str) -> None:
    chance = random.Random(7)
    events = [
        stripe(f"evt_{number}", source=chance.choice(["stripe", "stripe-eu"]), key=f"in_{chance.randrange(300)}")
        for number in range(3000)
    ]
    handlers = {"ledger_handlers": UNEVEN.format(order=order)}
    with running(tmp_path, config=configuration(), handlers=handlers) as gateway:
        accept(gateway, *events, connections=32)

        assert_effects_in_stored_order(gateway)
        assert len(by_key(stored(gateway))) > 500


def test_a_worker_that_dies_at_every_start_is_tried_again_and_the_gateway_serves(tmp_path: Path) -> None:
    handlers = {"ledger_handlers": LEDGER, "doomed_handlers": DIES_AT_START}
    with running(tmp_path, config=configuration("ledger", "doomed"), handlers=handlers) as gateway:
        until(lambda: len(lines(gateway, "child.ended")) >= 4, what="four starts")

        accept(gateway, *(stripe(f"evt_{number}") for number in range(50)))
        until(lambda: len(effects(gateway)) == 50)
        assert metric(gateway, "gateway_up", process="worker:ledger") == 1
        assert gateway.admin("/readyz")[0] == 200
        assert {(line["child"], line["status"]) for line in lines(gateway, "child.ended")} == {("worker:doomed", 7)}
        assert gateway.stop() == 0
