"""Whether a reader that could read does read. Pure."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Progress(Generic[K]):
    """Notices a partition that has more to read and stands still for longer than `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[K, tuple[int, float]] = {}

    def stuck(self, behind: Mapping[K, int], now: float) -> bool:
        """Take what is behind and could be read, each with the next offset to read; return whether one stands still."""
        seen, self._seen = self._seen, {}
        for partition, offset in behind.items():
            before = seen.get(partition)
            self._seen[partition] = before if before is not None and before[0] == offset else (offset, now)
        return any(now - since > self._patience for _, since in self._seen.values())
