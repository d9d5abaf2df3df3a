"""A token bucket: how long until the next one may begin. Pure: `now` comes in as an argument, in seconds."""


class Bucket:
    """Lets `rate` begin per second, and up to a second's worth (at least one) at once after a pause."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = max(1.0, rate)
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until one may begin, 0.0 if it may now."""
        most = max(1.0, self._rate)
        if self._at is not None and now > self._at:
            self._tokens = min(most, self._tokens + (now - self._at) * self._rate)
        self._at = now if self._at is None else max(now, self._at)
        # Less than a millionth of a token is rounding, which would let a caller wait for ever shorter times.
        return 0.0 if self._tokens > 1.0 - 1e-6 else (1.0 - self._tokens) / self._rate

    def take(self) -> None:
        """Note that one begins."""
        self._tokens -= 1.0
