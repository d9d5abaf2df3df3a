"""The log on Kafka: events in the topics of their sources, durable on the in-sync replicas before futures complete.

`KafkaLog` decides what is a copy and encodes; the lanes write; the keeper keeps a client behind them. An outcome is
unknown whenever the client's last word leaves it open: the event may be in the log then, or come into it later, and
its next copy is appended again under the same dedupe key. The handlers' marks absorb that.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.errors import TooLargeError, Unavailable
from gateway.core.event import Event
from gateway.keep.copies import CONFLICT
from gateway.keep.envelope import record_key
from gateway.keep.kafka.driver import Driver
from gateway.keep.kafka.flights import BATCH_BYTES, Flight, Flights, new_flight
from gateway.keep.kafka.keeping import Keeper, KeeperTimes
from gateway.keep.kafka.lanes import Lane, LaneOptions, Lanes
from gateway.keep.kafka.seen import DIGEST_BYTES, Judgement, Seen
from gateway.keep.places import partition_number
from gateway.keep.ports import Appended, LogHealth, Position

log = logging.getLogger("gateway.keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the events of a source go. `max_message_bytes` is the topic's limit for one batch of records."""

    topic: str
    max_message_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaLogOptions:
    """How the log is kept: where each source's events go, bounds, and how long to wait for what.

    `drain` is how many seconds `close` gives what is enqueued.
    """

    destinations: Mapping[str, Destination]
    lanes: LaneOptions = field(default_factory=LaneOptions)
    times: KeeperTimes = field(default_factory=KeeperTimes)
    drain: float = 10.0


class KafkaLog:
    """The log of one edge process. Made on the event loop's thread, which must be running; never waits for Kafka.

    Args:
        options: where and how.
        make_driver: makes a client, which lives once; called again whenever one has to be replaced.
        seen: the ids that are known to be durable.
        note: told (identity, digest of the body) of each event after its ack; remembers it in `seen`.
    """

    def __init__(
        self,
        options: KafkaLogOptions,
        make_driver: Callable[[], Driver],
        seen: Seen,
        note: Callable[[bytes, bytes], object],
    ) -> None:
        self._options = options
        self._destinations = options.destinations
        self._seen = seen
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._flights = Flights()
        self._closing: Future[None] | None = None
        self._lanes = Lanes(options.lanes)
        topics = sorted({destination.topic for destination in options.destinations.values()})
        self._keeper = Keeper(make_driver, self._lanes, topics, times=options.times)
        self._keeper.start()

    async def connected(self, within: float) -> bool:
        """Wait until the cluster was reached for the first time, up to `within` seconds; return whether it was."""
        return await self._keeper.connected(within)

    @property
    def missing(self) -> Sequence[str]:
        """The topics that the cluster did not have when last asked, or all if it was never reached."""
        return self._keeper.missing

    def check(self, event: Event) -> None:
        """Say whether the log will ever take such an event, whatever the cluster does.

        Raises:
            TooLargeError: it will not.
        """
        self._check_size(new_flight(event, self._loop.create_future(), self, conflict=True))

    def partition(self, event: Event) -> int | None:
        """Return in which partition of its source's topic an event goes; None while that is unknown."""
        destination = self._destinations.get(event.source)
        return None if destination is None else self._lanes.number(destination.topic, record_key(event))

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        """Enqueue `events` and return at once, one future an event; call it on the event loop's thread.

        Raises:
            Unavailable: nothing was enqueued.
            TooLargeError: nothing was enqueued, and never will be.
        """
        if self._closing is not None:
            raise Unavailable("draining")
        futures: list[Future[Appended]] = []
        begun: list[tuple[Lane, Flight]] = []
        joining: list[tuple[Flight, Future[Appended], bool]] = []
        try:
            for event in events:
                future: Future[Appended] = self._loop.create_future()
                futures.append(future)
                self._judge(event, future, begun, joining)
            if begun:
                self._lanes.enqueue(begun)
        except BaseException:
            for _, flight in begun:
                self._flights.end(flight)
            raise
        for flight, future, body_differs in joining:
            flight.join(future, body_differs=body_differs)
        return futures

    def _judge(
        self,
        event: Event,
        future: "Future[Appended]",
        begun: list[tuple[Lane, Flight]],
        joining: list[tuple[Flight, "Future[Appended]", bool]],
    ) -> None:
        """Answer a copy of what is durable, join what is in flight, or begin a flight."""
        judgement = self._seen.judge(event)
        if judgement in ("copy", "body_differs"):
            future.set_result(self._duplicate(event, judgement))
            return
        joint = self._flights.judge(event, judgement)
        if joint.flight is not None:
            joining.append((joint.flight, future, joint.body_differs))
            return
        flight = new_flight(event, future, self, conflict=joint.conflict)
        destination = self._check_size(flight)
        lane = self._lanes.place(destination.topic, flight.record.key)
        self._flights.begin(flight)
        begun.append((lane, flight))

    def _check_size(self, flight: Flight) -> Destination:
        source = flight.event.source
        destination = self._destinations[source]
        if flight.size + BATCH_BYTES > destination.max_message_bytes:
            raise TooLargeError(f"an event of {source} takes more than {destination.max_message_bytes} bytes")
        return destination

    def _duplicate(self, event: Event, judgement: Judgement) -> Appended:
        first = self._seen.look(event.identity)
        conflict = judgement == "copy" and first != event.body_sha256[:DIGEST_BYTES]
        flags = tuple(sorted({*event.flags, CONFLICT})) if conflict else event.flags
        return Appended(None, duplicate=True, body_differs=judgement == "body_differs", flags=flags)

    def landed(self, flight: Flight, partition: int, offset: int) -> Position:
        """Note that a flight's event is durable; return where."""
        self._flights.end(flight)
        event = flight.event
        self._note(event.identity, event.body_sha256[:DIGEST_BYTES])
        return Position(partition_number(event.source, partition), offset)

    def lost(self, flight: Flight) -> None:
        """Note that a flight's event is not durable, or that nobody knows: its next copy is new."""
        self._flights.end(flight)

    def health(self) -> LogHealth:
        """Return what is known without asking the cluster. How much is stored is not: that is 0."""
        lanes, state = self._lanes, self._lanes.state()
        reason = "draining" if self._closing is not None else "log_down" if state == "down" else None
        return LogHealth(
            writable=reason is None,
            reason=reason,
            events=0,
            bytes=0,
            oldest_seconds=0.0,
            queued_events=lanes.queued_events,
            queued_bytes=lanes.queued_bytes,
            lacking=() if state == "down" else self._of_topics(self._keeper.missing),
            hampered=self._of_topics(lanes.refusing()) if state == "degraded" else (),
        )

    def _of_topics(self, topics: Collection[str]) -> tuple[str, ...]:
        """Return the sources whose events go to one of `topics`."""
        return tuple(source for source, place in self._destinations.items() if place.topic in topics)

    async def close(self) -> None:
        """Finish what is enqueued, within a deadline, then let the cluster go. A second call waits for the first."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if not await self._lanes.empty(self._options.drain):
            log.error("log.close_timed_out", extra={"queued": self._lanes.queued_events})
        await self._keeper.stop()
