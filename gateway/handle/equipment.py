"""What a worker is given: its ports, and what the operator decided about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.core.event import Event
from gateway.core.source import OnConflict
from gateway.handle.fetching import Outside
from gateway.keep.ports import Blame, History, Parking, Pausing, Replays, Store, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What `keep` gives one router's worker."""

    subscription: Subscription
    store: Store
    parking: Parking
    replays: Replays
    history: History
    pausing: Pausing
    blame: Blame


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What the operator decides about one worker; times in seconds, sizes in bytes.

    Attributes:
        concurrency: how many handlers may be in a call at a time.
        window_events, window_bytes: how much may be read and not yet committable.
        parked_most: how many due retries may be under way.
        tx_timeout: how long a handler may hold its transaction.
        grace: how long a cancelled handler may take to end before the process is killed.
        held_most: how many events may wait behind a parked one of a strict handler's key.
        marks: how long marks are kept.
        poll: how often due retries are looked for.
        tend: how often the backlog is counted.
        revoke: how long what runs may take to end when its partition goes to another worker.
        patience, farewell: how long a router's lifespan may take to open, and to close.
        conflicts: `on_conflict` by source.
        contracts: by source what an event breaks, empty if it fits; sources that require nothing have none.
        outside: what handlers may ask of others, and who runs their requests.
    """

    concurrency: int = 32
    window_events: int = 2000
    window_bytes: int = 32 * 2**20
    parked_most: int = 64
    tx_timeout: float = 1.0
    grace: float = 5.0
    held_most: int = 1000
    marks: float = 90 * 86400.0
    poll: float = 0.5
    tend: float = 1.0
    revoke: float = 10.0
    patience: float = 30.0
    farewell: float = 3.0
    conflicts: Mapping[str, OnConflict] = field(default_factory=dict)
    contracts: Mapping[str, Callable[[Event], str]] = field(default_factory=dict)
    outside: Outside = field(default_factory=Outside)
