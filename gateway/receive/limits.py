"""What one client, one source and all together may take. Pure: `now` comes in as an argument.

Before verification only bytes are held, counted against a budget per client and one in all (design section 6.12).
Rates count verified deliveries alone, so that a stranger's flood never limits the provider.
"""

import math
from collections import OrderedDict

# RFC 9110 sets none; far above what any provider sends, far below what hurts.
MAX_LENGTH_DIGITS = 18
MINUTE = 60.0


class TokenBucket:
    """A rate a second, with a `burst` of at least one; if none is given, of one second's worth."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, now: float, *, burst: float = 1.0) -> None:
        self._rate = rate
        self._burst = max(rate, burst, 1.0)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> int:
        """Take one token and return 0; or take none and return the whole seconds to wait for one, at least 1."""
        self._fill(now)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0
        return max(math.ceil((1.0 - self._tokens) / self._rate), 1)

    def is_spent(self, now: float) -> bool:
        """Return whether there is no token to take."""
        return self.left(now) < 1.0

    def left(self, now: float) -> float:
        """Return how many tokens there are."""
        self._fill(now)
        return self._tokens

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(now - self._at, 0.0) * self._rate)
        self._at = now


class ClientRates:
    """A rate for each client, with a burst of one minute's worth. It remembers the last `most` clients that took."""

    __slots__ = ("_buckets", "_most", "_rate")

    def __init__(self, rate: float, *, most: int = 10_000) -> None:
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, now: float) -> int:
        """Take one of the client's tokens and return 0; or take none and return the whole seconds to wait for one."""
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = TokenBucket(self._rate, now, burst=self._rate * MINUTE)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(client)
        return bucket.take(now)

    def is_spent(self, client: str, now: float) -> bool:
        """Return whether the client has no token left; takes none."""
        bucket = self._buckets.get(client)
        return bucket is not None and bucket.is_spent(now)


class HeldBytes:
    """Bytes of bodies that are not verified yet, by client and in all."""

    __slots__ = ("_by_client", "_in_all", "_per_client", "total")

    def __init__(self, *, in_all: int, per_client: int) -> None:
        self._in_all = in_all
        self._per_client = per_client
        self._by_client: dict[str, int] = {}
        self.total = 0

    def take(self, client: str, size: int) -> bool:
        """Count `size` more bytes for `client`; False, and nothing counted, if that were over a budget."""
        if not size:
            return True
        held = self._by_client.get(client, 0) + size
        if held > self._per_client or self.total + size > self._in_all:
            return False
        self._by_client[client] = held
        self.total += size
        return True

    def give_back(self, client: str, size: int) -> None:
        """Count `size` bytes less; a client that holds none is forgotten."""
        if not size:
            return
        left = self._by_client[client] - size
        self.total -= size
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]


def announced_length(headers: dict[bytes, bytes]) -> int | None:
    """Return the Content-Length, None if absent or no number (the server refuses that as malformed)."""
    text = headers.get(b"content-length")
    if text is None or not text.isdigit() or len(text) > MAX_LENGTH_DIGITS:
        return None
    return int(text)


def media_type(content_type: bytes | None) -> str:
    """Return the media type without parameters, in lower case, empty if there is none."""
    return (content_type or b"").partition(b";")[0].strip().lower().decode("latin-1")
