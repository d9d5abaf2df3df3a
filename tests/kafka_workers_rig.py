"""What the fault tests of workers on Kafka need: a router's group as the broker sees it, and workers to be killed.

A group expels a member that it does not hear for half a minute. `Group.expel` does the same at once, so that tests need
not wait; one that waits is among the long rounds.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, NotCoordinatorForGroupError
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest

from tests.kafka_fault_rig import Deployment, KafkaGateway
from tests.kafka_rig import admin
from tests.running import until

T = TypeVar("T")

WORKER = "worker:ledger"

# One handler, whose effect is the last thing it does; what comes before it depends on the event's type. Its files are
# in the deployment's folder, which is above those of its gateways.
TROUBLED = '''
import asyncio
import os
from pathlib import Path

from gateway import Backoff, Context, Event, GiveUp, Router

SCHEMA = """
create table if not exists effect (
    number bigint generated always as identity, source text, id text, key text, attempt integer
)
"""
router = Router("ledger", schema=SCHEMA, start="earliest")
RETRY = Backoff(attempts=8, first=0.4, factor=1.5, inline=1)


def mark(name):
    """Write our number into a file of the shared folder; return whether it was not there."""
    try:
        with open(f"../{name}", "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


async def act(event, ctx):
    if event.type == "flaky" and ctx.attempt < 3:
        raise RuntimeError("not yet")
    if event.type == "until-told" and not Path(f"../go-{event.id}").exists():
        raise RuntimeError("not yet")
    if event.type == "refused" and not Path(f"../go-{event.id}").exists():
        raise GiveUp("not yet")
    if event.type == "slow" and mark(f"entered-{event.id}"):
        while not Path(f"../go-{event.id}").exists():
            await asyncio.sleep(0.02)
    if event.type == "exit-once" and mark(f"exited-{event.id}"):
        os._exit(9)
    if event.type == "pill" and not Path(f"../go-{event.id}").exists():
        with open("../pills", "a") as pills:
            pills.write(f"{os.getpid()} ")
        os._exit(9)


@router.on("*", name="write-effect", order="ORDER", timeout=50.0, retry=RETRY)
async def write_effect(event: Event, ctx: Context) -> None:
    await act(event, ctx)
    row = {"source": event.source, "id": event.id, "key": event.key, "attempt": ctx.attempt}
    await ctx.tx.execute(
        "insert into effect (source, id, key, attempt) values (:source, :id, :key, :attempt)", row
    )
'''


def troubled(order: str = "relaxed") -> dict[str, str]:
    return {"ledger_handlers": TROUBLED.replace("ORDER", order)}


class Group:
    """A consumer group, asked of the broker anew each time."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.bootstrap = bootstrap
        self.name = name

    def members(self) -> set[str]:
        return {member[0] for member in self._described()[5]}

    def settled(self, count: int) -> bool:
        """Return whether it has that many members, each with its share of the partitions."""
        _, _, state, _, _, members, *_ = self._described()
        return state == "Stable" and len(members) == count

    def rebalancing(self) -> bool:
        return bool(self._described()[2] == "PreparingRebalance")

    def expel(self, members: Collection[str]) -> None:
        """Put members out, as the group does with those it does not hear."""

        async def leave(client: Any) -> None:
            node = await client.find_coordinator(self.name)
            for member in members:
                await client._client.send(node, LeaveGroupRequest(self.name, member))

        self._ask(leave)

    def lose(self) -> None:
        """Have the cluster forget the group and its offsets; it must have no members."""

        async def delete(client: Any) -> Any:
            node = await client.find_coordinator(self.name)
            return await client._client.send(node, DeleteGroupsRequest([self.name]))

        answer = self._ask(delete)
        assert [error for _, error in answer.results] == [0], answer

    def offsets(self, topic: str, partitions: int) -> dict[int, int]:
        """Return the group's next offsets, where it has any."""
        parts = [TopicPartition(topic, number) for number in range(partitions)]
        found = self._ask(lambda client: client.list_consumer_group_offsets(self.name, partitions=parts))
        return {part.partition: place.offset for part, place in found.items() if place.offset >= 0}

    def _described(self) -> Any:
        (answer,) = self._ask(lambda client: client.describe_consumer_groups([self.name]))
        return answer.groups[0]

    def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        async def ask() -> T:
            async with asyncio.timeout(30), admin(self.bootstrap) as client:
                while True:
                    with suppress(GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):  # soon there is one
                        return await question(client)
                    await asyncio.sleep(0.1)

        return asyncio.run(ask())


class Worker:
    """One `gateway work`, and the member of the group that it is."""

    def __init__(self, gateway: KafkaGateway, group: Group) -> None:
        self.gateway = gateway
        self.group = group
        self.member = ""

    def join(self) -> None:
        """Start it, and wait until it is in the group."""
        others = self.group.members()
        self.gateway.start()
        self._joined(others)

    def kill(self, other: "Worker") -> None:
        """Kill its process, which the group finds out; the next one of its supervisor joins."""
        pid = self.gateway.pid(WORKER)
        self.gateway.kill(WORKER)
        self.group.expel(self.group.members() - {other.member})
        until(lambda: self.gateway.pid(WORKER) not in (None, pid), what="another process")
        self._joined({self.member, other.member})

    def leave(self) -> None:
        """End it in order; it is out of the group when it has ended."""
        assert self.gateway.stop() == 0
        assert self.member not in self.group.members(), "it left its partitions to the session's end"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes, as a suspended machine does, and let them go on afterwards."""
        assert self.gateway.process is not None
        os.killpg(self.gateway.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.gateway.process.pid, signal.SIGCONT)

    def _joined(self, others: Collection[str]) -> None:
        (self.member,) = until(lambda: self.group.members() - set(others), what="its place in the group")


@contextmanager
def workers(deployment: Deployment, *names: str) -> Iterator[list[Worker]]:
    """Make workers, each in a folder of its own, and leave nothing of them behind."""
    group = group_of(deployment)
    made = [Worker(deployment.gateway("work --router ledger", name=name), group) for name in names]
    for one in made:
        one.gateway.output.unlink(missing_ok=True)
    try:
        yield made
        end_in_order(made)  # so that those of the next test need not be careful
    except BaseException:
        for one in made:
            said = one.gateway.output.read_text()[-6000:] if one.gateway.output.exists() else ""
            print(f"--- {one.gateway.folder.name}:\n{said}")  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        for one in made:
            one.gateway.end()
        group.expel(group.members())


def end_in_order(made: Sequence[Worker]) -> None:
    running = [one.gateway.process for one in made if one.gateway.process and one.gateway.process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)


@contextmanager
def two_workers(deployment: Deployment, *, at_once: bool = False) -> Iterator[tuple[Worker, Worker]]:
    """Start two workers of the router, one after the other, or `at_once`."""
    with workers(deployment, "one", "two") as (one, two):
        if at_once:
            for each in (one, two):
                each.gateway.start(wait=False)
        else:
            one.join()
            two.join()
        until(lambda: one.group.settled(2), what="both workers with their shares", deadline=60)
        yield one, two


@contextmanager
def worker(deployment: Deployment) -> Iterator[Worker]:
    """Start one worker of the router."""
    with workers(deployment, "alone") as (alone,):
        alone.join()
        until(lambda: alone.group.settled(1), what="the worker with all partitions")
        yield alone


def group_of(deployment: Deployment) -> Group:
    return Group(deployment.kafka.bootstrap, deployment.group())


def delete_before(deployment: Deployment, source: str, offsets: Mapping[int, int]) -> None:
    """Do what retention does, in each partition up to its offset."""

    async def delete() -> None:
        kind: Any = RecordsToDelete
        topic = deployment.topic(source)
        async with admin(deployment.kafka.bootstrap) as client:
            await client.delete_records({TopicPartition(topic, number): kind(at) for number, at in offsets.items()})

    asyncio.run(delete())


@contextmanager
def dead_found_out_soon(group: Group, *, after: float = 1.5) -> Iterator[None]:
    """Have a rebalance that waits for the dead go on: expel everybody; those who live come again at once."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(after):
            with suppress(KafkaError, OSError, TimeoutError):
                members = group.members() if group.rebalancing() else set()
                if members and not stop.wait(after) and group.rebalancing():
                    group.expel(members & group.members())

    thread = threading.Thread(target=look, name="dead-found-out")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def let_go(deployment: Deployment, event_id: str) -> None:
    """Let the handler of an event do what it waits for."""
    (deployment.folder / f"go-{event_id}").touch()
