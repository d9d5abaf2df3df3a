"""The values that pass through the ports of `keep`: frozen, without behaviour. Times in microseconds since the epoch.

A position is (partition, offset); offsets grow within a partition. The embedded log has partition 0 alone. On Kafka a
partition's number holds its topic, too (`gateway.keep.places`): the low 16 bits are Kafka's own number.
Rooms import them from `gateway.keep.ports`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.core.event import Event

Outcome = Literal["done", "duplicate", "stale", "retry", "dead", "crashed"]
DeadReason = Literal[
    "gave_up", "attempts", "crashed", "contract", "id_conflict", "handler_gone", "unreadable", "held_too_many"
]
PairState = Literal["pending", "running", "done", "stale", "retrying", "held", "dead"]


class Position(NamedTuple):
    """A place in the log."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The durable outcome of one append.

    `position` is None for a duplicate whose first copy's place the engine does not remember. `duplicate` means that an
    earlier copy is durable and this one was not stored; `body_differs` that the copy's body is another than the first
    one's; `flags` are the stored event's (the log adds `id_conflict`).
    """

    position: Position | None
    duplicate: bool = False
    body_differs: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogHealth:
    """What the log knows of itself; ages in seconds.

    `lacking` are the sources whose events it has no place for, `hampered` those of which it takes some at most.
    """

    writable: bool
    reason: str | None
    events: int
    bytes: int
    oldest_seconds: float
    queued_events: int
    queued_bytes: int
    lacking: tuple[str, ...] = ()
    hampered: tuple[str, ...] = ()


class Stored(NamedTuple):
    """One stored record: its position and the event, or the error that decoding it met."""

    position: Position
    event: Event | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a router has not handled yet: events, age of the oldest in seconds (0.0 if none), and gaps it lost."""

    events: int
    oldest_seconds: float
    gap_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One event for one handler: the unit that runs, retries and dies alone.

    `replay` is empty, or the id of the forced replay that makes this another run with its own mark.
    `attempt` counts the runs begun before this one. `parked_id` names the parked row it came from.
    """

    handler: str
    event: Event
    position: Position
    attempt: int = 0
    replay: str = ""
    replay_id: str = ""
    new_keys: bool = False
    parked_id: int | None = None
    first_failed_us: int | None = None
    error: str = ""


class MarkKey(NamedTuple):
    """What a mark is kept under."""

    handler: str
    dedupe_key: bytes
    replay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A pair that will not be run again by itself, with everything needed to understand and rerun it."""

    id: int
    router: str
    pair: Pair
    reason: DeadReason
    error: str
    trace: str
    attempts: int
    died_us: int


class AlreadyDone(Exception):  # noqa: N818 - an outcome, not an error
    """The pair's mark exists: another run finished it. Raised by `Store.begin`, and by a `finish` that lost."""


class StaleEvent(Exception):  # noqa: N818 - an outcome, not an error
    """A newer event of the key was applied before. Raised by `Store.begin` for `stale="skip"`."""


@dataclass(frozen=True, slots=True)
class Version:
    """What the stale guard compares: the handler's (source, key) and the event's version, compared as numbers."""

    source: str
    key: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events: each field narrows; times in microseconds, `since` inclusive, `until` exclusive."""

    source: str | None = None
    type: str | None = None
    id: str | None = None
    key: str | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFilter:
    """Which dead letters: each field narrows, `ids` only if any are given; the times of `events` are those of death."""

    ids: tuple[int, ...] = ()
    handler: str | None = None
    reason: DeadReason | None = None
    events: Filter = field(default_factory=Filter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One stored event without its body."""

    position: Position
    source: str
    provider: str
    id: str
    type: str
    time_us: int | None
    received_us: int
    key: str
    body_sha256: bytes
    body_bytes: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStatus:
    """What became of one event at one handler."""

    router: str
    handler: str
    state: PairState
    attempts: int = 0
    at_us: int | None = None
    next_us: int | None = None
    error: str = ""
    replay: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replay in progress: where it stands is durable, so that it resumes after a crash."""

    id: str
    handler: str | None
    where: Filter
    mode: Literal["missing", "force"]
    new_keys: bool
    rate: float | None
    upto: Mapping[int, int]
    at: Mapping[int, int] = field(default_factory=dict)
    total: int = 0
    handed: int = 0
    state: Literal["running", "done", "cancelled"] = "running"
