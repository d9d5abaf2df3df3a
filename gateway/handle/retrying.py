"""What becomes of a failed run: once more at once, parked for later, or dead. Pure: time and chance are arguments."""

import math
from dataclasses import dataclass

from gateway.api import Backoff, GiveUp, Retry
from gateway.core.versions import VersionError
from gateway.keep.ports import DeadReason

# How long a pair may hold its lane with retries, and thereby later events of its key, in seconds.
INLINE_FOR = 10.0


@dataclass(frozen=True, slots=True)
class Inline:
    """Run again in place, after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Park:
    """Keep durably and run again at `due_us`."""

    due_us: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Do not run again by itself."""

    reason: DeadReason


def after_failure(
    policy: Backoff, attempt: int, signal: BaseException, *, elapsed: float, jitter: float, now_us: int
) -> Inline | Park | Dead:
    """Decide what follows the failed run number `attempt` (from 1).

    Args:
        policy: the handler's.
        attempt: how many runs have begun, the failed one included.
        signal: what the run raised.
        elapsed: seconds since the first of the inline runs began.
        jitter: chance, from -1.0 to 1.0.
        now_us: the time.
    """
    if isinstance(signal, GiveUp | VersionError):
        return Dead("gave_up")
    if attempt >= policy.attempts:
        return Dead("attempts")
    asked = signal.after if isinstance(signal, Retry) else None
    delay = pause(policy, attempt, jitter) if asked is None else asked
    if attempt < policy.inline and elapsed + delay <= INLINE_FOR:
        return Inline(delay)
    return Park(now_us + math.ceil(delay * 1e6))


def pause(policy: Backoff, attempt: int, jitter: float) -> float:
    """Return the seconds between run `attempt` and the next."""
    try:
        grown = policy.first * policy.factor ** (attempt - 1)
    except OverflowError:
        grown = policy.most
    return min(grown, policy.most) * (1 + policy.jitter * jitter)
