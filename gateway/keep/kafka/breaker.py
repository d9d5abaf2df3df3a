"""The breaker of one lane: while its partition takes nothing, appends are refused at once. Pure.

Without it each request would burn its whole deadline while the cluster is down.

    CLOSED --failures in a row, or the batch in flight is too old--> OPEN --one request each half second goes through-->
      ^-----------------------------------any batch is acknowledged------------------------------------------'
"""


class Breaker:
    """Opens after failures, lets a real request through now and then, closes with the first success.

    Args:
        failures: how many in a row open it.
        stuck_after: how old the batch in flight may get, in seconds.
        probe_every: how often a request goes through while open, in seconds.
    """

    __slots__ = ("_failures", "_limit", "_probe_every", "_probed", "_stuck_after", "opened_at")

    def __init__(self, *, failures: int = 3, stuck_after: float = 5.0, probe_every: float = 0.5) -> None:
        self._limit, self._stuck_after, self._probe_every = failures, stuck_after, probe_every
        self._failures = 0
        self._probed = 0.0
        self.opened_at: float | None = None

    def admits(self, now: float, in_flight_since: float | None) -> bool:
        """Return whether a request may go through now; while open, one that may is the probe."""
        self.look(now, in_flight_since)
        if self.opened_at is None:
            return True
        if now - self._probed < self._probe_every:
            return False
        self._probed = now
        return True

    def look(self, now: float, in_flight_since: float | None) -> bool:
        """Open it if the batch in flight is too old; return whether it is open."""
        if in_flight_since is not None and now - in_flight_since > self._stuck_after:
            self._open(now)
        return self.opened_at is not None

    def succeeded(self) -> None:
        """Note an acknowledged batch."""
        self._failures = 0
        self.opened_at = None

    def failed(self, now: float) -> None:
        """Note a batch that was not acknowledged."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open(now)

    def _open(self, now: float) -> None:
        if self.opened_at is None:
            self.opened_at = self._probed = now
