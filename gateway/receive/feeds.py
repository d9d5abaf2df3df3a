"""The addresses that providers publish, for `allow_ips: [provider]`: fetched once a day, the last good list kept.

A list is taken whole or not at all, and never an empty or an absurd one. Until there has been any, every address may
send: the signature is checked in any case, and a provider that cannot be reached must not close its own endpoint. Only
a source whose deliveries nothing else proves stays closed.
"""

import asyncio
import json
import logging
import math
import random
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from gateway.core.feeds import AddressFeed
from gateway.core.outgoing import Ask, Fetch, OutgoingError
from gateway.receive.clients import Address, Network, networks, within
from gateway.receive.files import read_small, replace_durably

FOLDER = "feeds"
DAY = 86_400.0
FETCH_SECONDS = 20.0
FIRST_RETRY, LAST_RETRY = 60.0, 3_600.0
LARGEST = 2**20
MOST_ENTRIES = 2_000
# Of all addresses there are: no provider sends from so many, and a list that names more would let anyone in.
_SHARE_V4, _SHARE_V6 = 2**-8, 2**-16
_JITTER = 0.1
# So that the edges of one machine, started together, find the first one's list on the disk.
_START_JITTER = 5.0

log = logging.getLogger("gateway.receive")


class AbsurdListError(ValueError):
    """A list of addresses that nobody can mean."""


def sane_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of a published list.

    Raises:
        ValueError: one is none, there are none or too many, or they hold addresses that are not public, or too many.
    """
    if not 0 < len(texts) <= MOST_ENTRIES:
        raise AbsurdListError("it is empty, or too long")
    found = networks(texts)
    if not all(network.is_global and not network.is_multicast for network in found):
        raise AbsurdListError("it holds addresses that are not public")
    share_v4, share_v6 = _share(found, 4), _share(found, 6)
    if share_v4 > _SHARE_V4 or share_v6 > _SHARE_V6:
        raise AbsurdListError("it holds too many addresses")
    return found


def _share(found: Sequence[Network], version: int) -> float:
    return sum(2.0**-network.prefixlen for network in found if isinstance(network, IPv4Network) == (version == 4))


class AddressList:
    """The addresses of one provider.

    Args:
        name: the provider's name.
        feed: where its list is.
        folder: where the last good list is kept, None for nowhere.
    """

    def __init__(self, name: str, feed: AddressFeed, folder: Path | None) -> None:
        self.name = name
        self.networks: tuple[Network, ...] | None = None
        self._feed = feed
        self._path = None if folder is None else folder / FOLDER / f"{name}.json"
        self._fetched_at = -math.inf
        self._warned = False
        self.look()

    def age(self, now: float) -> float:
        """Return the list's age in seconds, infinite while there is none. `now` is Unix time."""
        return max(now - self._fetched_at, 0.0)

    def admits(self, address: Address | None) -> bool | None:
        """Return whether the address is the provider's, None while its list is not known."""
        if self.networks is not None:
            return within(address, self.networks)
        if not self._warned:
            self._warned = True
            log.warning("addresses.unknown", extra={"provider": self.name})
        return None

    async def refresh(self, fetch: Fetch) -> bool:
        """Fetch the list, unless a good one of today is on the disk; return whether there is one of today now."""
        await asyncio.to_thread(self.look)
        if self._is_of_today():
            return True
        try:
            texts = self._feed.parse(await self._body(fetch))
            self.networks = sane_networks(texts)
        except (OutgoingError, ValueError) as error:
            # What a parser says may quote what came.
            cause = str(error) if isinstance(error, (OutgoingError, AbsurdListError)) else type(error).__name__
            log.warning("addresses.not_refreshed", extra={"provider": self.name, "cause": cause})
            return False
        self._fetched_at = time.time()
        await self._keep(texts)
        return True

    async def _body(self, fetch: Fetch) -> bytes:
        answer = await fetch(Ask(url=self._feed.url, max_bytes=LARGEST), FETCH_SECONDS)
        if answer.status != 200:
            raise OutgoingError(f"it was answered {answer.status}")
        return answer.body

    def look(self) -> None:
        """Take the list on the disk if it is good, and newer than the one here."""
        if self._path is None or not self._path.exists():
            return
        try:
            kept = json.loads(read_small(self._path, most=LARGEST))
            at, found = float(kept["fetched_at"]), sane_networks(kept["addresses"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("addresses.unreadable", extra={"provider": self.name, "error": type(error).__name__})
            return
        if at > self._fetched_at:
            self.networks, self._fetched_at = found, at

    def _is_of_today(self) -> bool:
        """A list from the future is of a clock that was wrong: it is fetched anew."""
        return 0 <= time.time() - self._fetched_at < DAY * (1 - _JITTER)

    async def _keep(self, texts: Sequence[str]) -> None:
        if self._path is None:
            return
        data = json.dumps({"fetched_at": self._fetched_at, "addresses": list(texts)}).encode()
        try:
            await asyncio.to_thread(replace_durably, self._path, data)
        except OSError as error:
            log.warning("addresses.not_kept", extra={"provider": self.name, "cause": error.strerror or ""})


async def keep_fresh(addresses: AddressList, fetch: Fetch) -> None:
    """Refresh a list daily, sooner after a failure; runs until it is cancelled."""
    pause = random.uniform(0, _START_JITTER)  # noqa: S311 - it spreads load
    retry = FIRST_RETRY
    while True:
        await asyncio.sleep(pause)
        if await addresses.refresh(fetch):
            pause, retry = DAY, FIRST_RETRY
        else:
            pause, retry = retry, min(retry * 2, LAST_RETRY)
        pause *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - as above
