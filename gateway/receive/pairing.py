"""Pairing: a provider sends its secret at run time, and it is taken only while the operator has the source open.

The challenge is answered only once the secret is durable and in use. If that answer is lost, the provider sends the
same secret again, and is answered again: whoever knows the secret in use learns nothing by it. A window is open in
memory alone, by the monotonic clock: a restart closes it, a jump of the wall clock does not move it.

Several edges of one machine share the files: each looks every second, and so closes its window when another was paired.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gateway.core.errors import DependencyError, GatewayError
from gateway.core.source import Secret, Source
from gateway.receive import paired
from gateway.receive.errands import Errands
from gateway.receive.paired import LABEL, Stamp

Recompile = Callable[[str, tuple[Secret, ...]], Source]
"""Compiles a source with these secrets beside its configured ones; raises `ValueError` if they do not fit."""

Activate = Callable[[str, Source], None]
"""Lets a source's next delivery be admitted by this compilation of it."""

Outcome = Literal["paired", "closed", "failed"]

LOOK_EVERY = 1.0

log = logging.getLogger("gateway.receive")


@dataclass(slots=True)
class _Kept:
    """A source that pairs.

    Attributes:
        secret: the one in use.
        stamp: the state of the file it came from.
        closes: until when the source is open, on `time.monotonic`'s clock.
        opened: the state of the file when it was opened.
        taking: held while a secret is being taken.
    """

    secret: str | None = field(default=None, repr=False)
    stamp: Stamp | None = None
    closes: float = 0.0
    opened: Stamp | None = None
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Found(NamedTuple):
    """What a look at a file found: its state in use `before`, its state, its secret, and why that cannot be read."""

    before: Stamp | None
    stamp: Stamp | None
    secret: str | None = None
    error: Exception | None = None


class Pairings:
    """The sources of one edge that pair.

    Args:
        names: of these sources.
        folder: of the log; None to keep secrets in memory alone, which is for tests.
        recompile: makes a source with a secret.
        activate: puts it to use.
        errands: owns what must end even if its request does not wait.

    Attributes:
        unreadable: the sources that have a secret which cannot be read now.
    """

    def __init__(
        self,
        names: Iterable[str],
        folder: Path | None,
        recompile: Recompile,
        activate: Activate,
        errands: Errands,
    ) -> None:
        self._kept = {name: _Kept() for name in names}
        self._folder = folder
        self._recompile = recompile
        self._activate = activate
        self._errands = errands
        self.unreadable: set[str] = set()

    def load(self) -> None:
        """Put the stored secrets to use, before anything is served."""
        for name in self._kept:
            self._take_up(name, self._found(name))

    async def watch(self) -> None:
        """Put to use what other edges or the operator put into the files; runs until it is cancelled."""
        while self._kept and self._folder is not None:
            await asyncio.sleep(LOOK_EVERY)
            for name in self._kept:
                self._take_up(name, await asyncio.to_thread(self._found, name))

    def open(self, name: str, seconds: float) -> None:
        """Open a source for one secret, for so many seconds.

        Raises:
            GatewayError: its provider sends no secret.
            DependencyError: the folder of the secrets cannot be used.
        """
        kept = self._of(name)
        try:
            kept.opened = None if self._folder is None else paired.stamp_of(self._folder, name)
        except OSError as error:
            raise DependencyError(f"the secrets below {self._folder} cannot be read ({error.strerror})") from None
        kept.closes = time.monotonic() + seconds

    def close(self, name: str) -> None:
        """Close a source.

        Raises:
            GatewayError: its provider sends no secret.
        """
        self._of(name).closes = 0.0

    def state(self, name: str) -> Mapping[str, Any]:
        """Return for how many seconds a source is still open, and whether it has a secret. Raises as `close` does."""
        kept = self._of(name)
        return {"open_seconds": max(round(kept.closes - time.monotonic()), 0), "paired": kept.secret is not None}

    def in_use(self) -> Mapping[str, tuple[Secret, ...]]:
        """Return the secrets that came at run time, by source."""
        return {name: (Secret(LABEL, kept.secret),) for name, kept in self._kept.items() if kept.secret is not None}

    async def offer(self, name: str, secret: str, *, until: float) -> Outcome:
        """Take a secret if the source is open for it; return once it is durable and in use, or why it is not.

        What has begun goes on after `until` (on `time.monotonic`'s clock): the provider's next try finds it done.
        """
        kept = self._kept.get(name)
        if kept is None:
            return "closed"
        if _is_in_use(kept, secret):
            return "paired"
        now = time.monotonic()
        if now >= kept.closes or not paired.is_secret(secret):
            return "closed"
        taking = self._errands.start(self._take(name, kept, secret))
        await asyncio.wait([taking], timeout=max(until - now, 0.0))
        if not taking.done() or taking.cancelled() or taking.exception() is not None:
            return "failed"
        return taking.result()

    async def _take(self, name: str, kept: _Kept, secret: str) -> Outcome:
        async with kept.taking:
            if time.monotonic() >= kept.closes:  # another took it while this one waited
                return "paired" if _is_in_use(kept, secret) else "closed"
            try:
                source = self._recompile(name, (Secret(LABEL, secret),))
            except ValueError:
                log.warning("pairing.refused", extra={"source": name})
                return "closed"
            stored = await self._store(name, kept, secret)
            if stored == "paired":
                self._use(name, kept, secret, source)
            return stored

    async def _store(self, name: str, kept: _Kept, secret: str) -> Outcome:
        """Make the secret durable."""
        if self._folder is None:
            return "paired"
        try:
            stamp = await asyncio.to_thread(paired.replace_secret, self._folder, name, secret, former=kept.opened)
        except OSError as error:
            log.error("pairing.not_stored", extra={"source": name, "cause": error.strerror or ""})  # noqa: TRY400 - a trace tells no more
            return "failed"
        kept.closes = 0.0
        if stamp is None:  # another edge was first; `watch` finds what it took
            return "closed"
        kept.stamp = stamp
        return "paired"

    def _of(self, name: str) -> _Kept:
        if name not in self._kept:
            raise GatewayError(f"source {name} takes no secret at run time: its provider sends none")
        return self._kept[name]

    def _found(self, name: str) -> _Found:
        """Look at a source's file; it is read only if it is another one, or could not be read before."""
        kept = self._kept[name]
        before = kept.stamp
        if self._folder is None:
            return _Found(before, before)
        try:
            stamp = paired.stamp_of(self._folder, name)
            if stamp == before and name not in self.unreadable:
                return _Found(before, before)
            return _Found(before, stamp, paired.read_secret(self._folder, name))
        except (OSError, ValueError) as error:
            return _Found(before, before, error=error)

    def _take_up(self, name: str, found: _Found) -> None:
        kept = self._kept[name]
        if kept.taking.locked() or kept.stamp != found.before:  # a secret is being taken, or was meanwhile
            return
        if found.error is None and found.stamp == found.before and name not in self.unreadable:
            return
        try:
            if found.error is not None:
                raise found.error
            source = self._recompile(name, () if found.secret is None else (Secret(LABEL, found.secret),))
        except (OSError, ValueError) as error:
            if name not in self.unreadable:
                log.error("pairing.unreadable", extra={"source": name, "error": type(error).__name__})  # noqa: TRY400 - its text may hold what was read
            self.unreadable.add(name)
            return
        kept.stamp = found.stamp
        self._use(name, kept, found.secret, source)

    def _use(self, name: str, kept: _Kept, secret: str | None, source: Source) -> None:
        self.unreadable.discard(name)
        kept.secret = secret
        kept.closes = 0.0
        self._activate(name, source)
        log.info("pairing.paired" if secret is not None else "pairing.forgotten", extra={"source": name})


def _is_in_use(kept: _Kept, secret: str) -> bool:
    sent = secret.encode("utf-8", "replace")
    return kept.secret is not None and hmac.compare_digest(kept.secret.encode(), sent)
