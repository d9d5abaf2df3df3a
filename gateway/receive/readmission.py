"""Readmission: deliveries in quarantine are verified again, each as of its own arrival, and stored as any other.

Only an operator starts it. What verifies leaves the quarantine once its events are durable; if the edge dies in
between, they are duplicates the next time. A challenge is not answered: nobody waits for the answer any more.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.errors import DependencyError, GatewayError, TooLargeError, Unavailable
from gateway.receive import quarantined
from gateway.receive.appending import Appends
from gateway.receive.causes import Causes
from gateway.receive.entrance import Entrance
from gateway.receive.keys import KeyUnavailableError
from gateway.receive.meter import ReadmitOutcome
from gateway.receive.quarantined import Entry, Quarantined

MOST_CAUSES = 16
_CLIENT = "readmission"  # under whose name keys are fetched

log = logging.getLogger("gateway.receive")


class _Result(NamedTuple):
    outcome: ReadmitOutcome
    reason: str = ""

    @property
    def is_durable(self) -> bool:
        return self.outcome in ("accepted", "duplicate")


class Readmission:
    """Readmits deliveries of one machine's quarantine.

    Args:
        folder: of the log; None where nothing is in quarantine.
        entrances: the sources by name, as they are now.
        appends: makes events durable.
        causes: works out why some are refused still.
    """

    def __init__(
        self, folder: Path | None, entrances: Mapping[str, Entrance], appends: Appends, causes: Causes
    ) -> None:
        self._folder = folder
        self._entrances = entrances
        self._appends = appends
        self._causes = causes

    async def run(self, source: str, ids: Collection[str], *, dry_run: bool) -> AsyncIterator[Mapping[str, Any]]:
        """Try deliveries again, the oldest first; yield what became of each, and how many of each outcome last.

        Args:
            source: whose deliveries.
            ids: which of them.
            dry_run: only verify; nothing is stored or removed.

        Raises:
            GatewayError: there is no such source.
            DependencyError: what is in quarantine cannot be read, or what was readmitted not be removed.
        """
        entrance = self._entrances.get(source)
        if entrance is None or self._folder is None:
            raise GatewayError(f"the running gateway has no source {source}; start it with the configuration you read")
        counts: Counter[str] = Counter()
        wanted = set(ids)
        for entry in await self._listed(self._folder, source):
            if entry.id not in wanted:
                continue
            told = await self._readmit(self._folder, entrance, entry, counts, dry_run=dry_run)
            if told is None:
                continue
            counts[told["outcome"]] += 1
            yield told
            if told["outcome"] == "unavailable":  # the next one would fare no better
                break
        if not dry_run:
            log.info("quarantine.readmitted", extra={"source": source, **counts})
        yield {"source": source, "dry_run": dry_run, **counts}

    async def _listed(self, folder: Path, source: str) -> list[Entry]:
        try:
            return await asyncio.to_thread(quarantined.entries, folder, source)
        except OSError as error:
            raise _unusable(folder, error) from None

    async def _readmit(
        self, folder: Path, entrance: Entrance, entry: Entry, counts: Mapping[str, int], *, dry_run: bool
    ) -> Mapping[str, Any] | None:
        source = entrance.source.name
        try:
            kept = await asyncio.to_thread(quarantined.read, folder, source, entry)
            if kept is None:
                return None
            result = await self._tried(entrance, kept, dry_run=dry_run)
            if result.is_durable and not dry_run:
                await asyncio.to_thread(quarantined.forget, folder, source, entry)
        except OSError as error:
            raise _unusable(folder, error) from None
        if not dry_run:
            entrance.meter.readmitted(result.outcome)
        told = {"id": kept.id, "source": source, "at_us": kept.at_us, "outcome": result.outcome}
        if result.outcome != "refused":
            return {**told, "reason": result.reason, "cause": ""}
        worth_it = counts.get("refused", 0) < MOST_CAUSES
        cause = await self._causes.cause_of(source, self._request(entrance, kept)) if worth_it else ""
        return {**told, "reason": result.reason, "cause": cause}

    async def _tried(self, entrance: Entrance, kept: Quarantined, *, dry_run: bool) -> _Result:
        until = time.monotonic() + entrance.source.deadline
        try:
            admission = await self._admitted(entrance, self._request(entrance, kept), until)
            if not isinstance(admission, Events):
                return _not_stored(admission)
            return await self._stored(entrance, kept, admission, until, dry_run=dry_run)
        except KeyUnavailableError:
            return _Result("unavailable", "key_unavailable")
        except TooLargeError:
            return _Result("refused", "too_large")
        except Unavailable as unavailable:
            return _Result("unavailable", unavailable.reason)

    def _request(self, entrance: Entrance, kept: Quarantined) -> Request:
        request = kept.request()
        return request if entrance.keys is None else msgspec.structs.replace(request, keys=entrance.keys)

    async def _admitted(self, entrance: Entrance, request: Request, until: float) -> Admission:
        if entrance.keys is None:
            return entrance.source.admit(request, request.received_us)
        admission, _ = await entrance.keys.admit(entrance.source, request, client=_CLIENT, may_fetch=True, until=until)
        return admission

    async def _stored(
        self, entrance: Entrance, kept: Quarantined, admission: Events, until: float, *, dry_run: bool
    ) -> _Result:
        if dry_run:
            return _Result("accepted")
        events = entrance.screened(admission)
        if events is None:
            return _Result("refused", "suspected_replay")
        entrance.uses.note(admission.secret, max(kept.at_us, entrance.uses.last.get(admission.secret, 0)))
        stored = await self._appends.store(events, entrance.meter, until=until)
        return _Result("accepted" if stored or not events else "duplicate")


def _not_stored(admission: Handshake | Rejected | NeedsKey) -> _Result:
    if isinstance(admission, Handshake):
        return _Result("handshake", "a challenge is not answered any more")
    if isinstance(admission, Rejected):
        return _Result("refused", admission.reason)
    return _Result("unavailable", "key_unavailable")


def _unusable(folder: Path, error: OSError) -> DependencyError:
    return DependencyError(f"the quarantine below {folder} cannot be used ({error.strerror})")
