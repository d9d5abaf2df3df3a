"""Keys that a scheme needs and that must be fetched: certificates and key sets, kept for each source.

What is here bounds strangers, who choose the references within what the source allows: how many documents are kept,
how many are fetched at a time, by one client and in all, and how soon one is asked for again. A fetch belongs to the
source, never to a request: a delivery that cannot wait for it is answered 503, and its next copy finds the document.

Documents that have verified a delivery are kept before all others, so that no flood of references can drive them out.
They stay in use while they are refreshed, and for a day after they went stale if that fails: a key may outlive an
outage of its host, not its withdrawal.
"""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.outgoing import Answer, Fetch, OutgoingError
from gateway.core.source import Source
from gateway.receive.errands import Errands
from gateway.receive.limits import MINUTE, ClientRates, HeldBytes, TokenBucket
from gateway.receive.meter import SourceMeter

HOUR, DAY = 3_600.0, 86_400.0

MOST_DOCUMENTS = 64
MOST_BYTES = 4 * 2**20
LARGEST = 2**20
LONGEST_REF = 2_048
MOST_FLIGHTS = 8
# Keys change some times a year: these are for strangers who make references up.
FETCHES_A_SECOND, FETCHES_AT_ONCE = 0.5, 20.0
FETCHES_OF_A_CLIENT = 6 / MINUTE
# The last of them are for clients that have had none of these lately: else a handful of addresses could take all, and
# the provider, whose key is not here yet, would be refused for as long as they go on.
RESERVED, RESERVED_AGAIN = 10.0, 10 * MINUTE
_MOST_NEWCOMERS = 1_000

SHORTEST, USUAL, LONGEST = 300.0, HOUR, DAY
STALE_FOR = DAY
NEWER_AFTER = MINUTE
FAILED_FOR = 5.0
FETCH_SECONDS = 10.0
# Discovery, then the key set, then a newer one of it: no scheme needs more.
_ROUNDS = 3

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,9})\b", re.IGNORECASE)

log = logging.getLogger("gateway.receive")


class KeyUnavailableError(Exception):
    """A key is not here, and will not be within the deadline. `limited`: it was not even asked for."""

    def __init__(self, *, limited: bool = False) -> None:
        super().__init__()
        self.limited = limited


def fresh_for(headers: Mapping[str, str]) -> float:
    """Return for how many seconds an answer is fresh: its `max-age` (RFC 9111) within bounds, an hour without one."""
    found = _MAX_AGE.search(headers.get("cache-control", ""))
    if found is None:
        return USUAL
    age = headers.get("age", "")
    spent = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
    return min(max(float(int(found[1]) - spent), SHORTEST), LONGEST)


class _Document:
    """One document: when it was fetched, when it is stale, when it last verified a delivery (0: never)."""

    __slots__ = ("body", "fetched", "proven", "stale")

    def __init__(self, body: bytes, fetched: float, stale: float, proven: float) -> None:
        self.body = body
        self.fetched = fetched
        self.stale = stale
        self.proven = proven


class Keys(Mapping[str, bytes]):
    """The documents of one source by reference; as a mapping it is what `Request.keys` shows of them.

    Args:
        source: the source; it has a `key_request`.
        fetch: runs requests.
        errands: owns the fetches.
        meter: of the source.
        clients: how many fetches each client may cause, at all sources.
    """

    def __init__(
        self, source: Source, fetch: Fetch, errands: Errands, meter: SourceMeter, clients: ClientRates
    ) -> None:
        assert source.key_request is not None  # noqa: S101 - of these sources alone
        self._name = source.name
        self._request = source.key_request
        self._fetch = fetch
        self._errands = errands
        self._meter = meter
        self._clients = clients
        self._budget = TokenBucket(FETCHES_A_SECOND, time.monotonic(), burst=FETCHES_AT_ONCE)
        self._newcomers = ClientRates(1 / RESERVED_AGAIN, most=_MOST_NEWCOMERS)
        self._documents: dict[str, _Document] = {}
        self._flights: dict[str, asyncio.Task[bool]] = {}
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._read: str | None = None

    def __getitem__(self, ref: str) -> bytes:
        document = self._documents[ref]
        if time.monotonic() > document.stale + STALE_FOR:
            raise KeyError(ref)
        self._read = ref
        return document.body

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._documents))

    def __len__(self) -> int:
        return len(self._documents)

    def oldest(self, now: float) -> float:
        """Return the age in seconds of the oldest document that verified a delivery in the last hour, 0 if none did."""
        in_use = (each for each in self._documents.values() if each.proven and now - each.proven < HOUR)
        return max((now - each.fetched for each in in_use), default=0.0)

    async def admit(
        self,
        source: Source,
        request: Request,
        *,
        client: str,
        may_fetch: bool,
        until: float,
        held: HeldBytes | None = None,
    ) -> tuple[Admission, float]:
        """Decide about a delivery, with the keys it needs; return the seconds that deciding took, too.

        Args:
            source: the source as it is now.
            request: with these keys.
            client: under whose name fetches are counted.
            may_fetch: whether a document that is not here may be asked for in this client's name.
            until: the deadline on `time.monotonic`'s clock.
            held: the budget of unverified bodies that this one counts in while it waits for a key, if any.

        Raises:
            KeyUnavailableError: one of them cannot be had now, or there is no room to wait.
        """
        spent = 0.0
        for _ in range(1 + _ROUNDS):
            self._read = None
            began = time.perf_counter()
            admission = source.admit(request, request.received_us)
            spent += time.perf_counter() - began
            if type(admission) is not NeedsKey:
                self._note_use(admission)
                return admission, spent
            size = 0 if held is None else len(request.body)
            if held is not None and not held.take(client, size):
                raise KeyUnavailableError(limited=True)
            try:
                if not await self._obtain(admission.ref, client, until, may_fetch=may_fetch):
                    break
            finally:
                if held is not None:
                    held.give_back(client, size)
        return Rejected("signature_mismatch"), spent

    def _note_use(self, admission: Admission) -> None:
        document = self._documents.get(self._read or "")
        verified = isinstance(admission, Events) or (isinstance(admission, Handshake) and admission.secret is not None)
        if document is None or not verified:
            return
        assert self._read is not None  # noqa: S101 - a document was found by it
        document.proven = now = time.monotonic()
        if now > document.stale and self._read not in self._flights and not self._failed_lately(self._read, now):
            self._launch(self._read)

    async def _obtain(self, ref: str, client: str, until: float, *, may_fetch: bool) -> bool:
        """Wait for a document, or for a newer one if it is here; False if the one here is the newest there is."""
        now = time.monotonic()
        flight = self._flights.get(ref)
        if flight is None:
            document = self._documents.get(ref) if ref in self else None
            if len(ref) > LONGEST_REF or (document is not None and now - document.fetched < NEWER_AFTER):
                return False
            if self._failed_lately(ref, now):
                raise KeyUnavailableError
            # Newer ones are bounded by their number; a new one counts against whoever asks.
            if document is None and not (may_fetch and self._within_budget(client, now)):
                self._meter.key_fetched("limited")
                raise KeyUnavailableError(limited=True)
            flight = self._launch(ref)
        await asyncio.wait([flight], timeout=max(until - now, 0.0))
        if not flight.done() or flight.cancelled() or flight.exception() is not None or not flight.result():
            raise KeyUnavailableError
        return True

    def _failed_lately(self, ref: str, now: float) -> bool:
        return self._failed.get(ref, 0.0) > now

    def _within_budget(self, client: str, now: float) -> bool:
        if len(self._flights) >= MOST_FLIGHTS or self._clients.take(client, now):
            return False
        if self._budget.left(now) <= RESERVED and self._newcomers.take(client, now):
            return False
        return self._budget.take(now) == 0

    def _launch(self, ref: str) -> "asyncio.Task[bool]":
        flight = self._flights[ref] = self._errands.start(self._fly(ref))
        return flight

    async def _fly(self, ref: str) -> bool:
        """Fetch one document; return whether it is here."""
        answer = None
        try:
            answer = await self._ask(ref)
        finally:
            del self._flights[ref]
            self._land(ref, answer, time.monotonic())
        return answer is not None

    async def _ask(self, ref: str) -> Answer | None:
        try:
            answer = await self._fetch(self._request(ref), FETCH_SECONDS)
        except OutgoingError as error:
            self._meter.key_fetched("failed")
            log.warning("key.not_fetched", extra={"source": self._name, "cause": str(error)})
            return None
        if not _is_document(answer):
            self._meter.key_fetched("unusable")
            log.warning("key.unusable", extra={"source": self._name, "status": answer.status})
            return None
        self._meter.key_fetched("fetched")
        return answer

    def _land(self, ref: str, answer: Answer | None, now: float) -> None:
        """Keep what was fetched, or that it could not be."""
        self._failed.pop(ref, None)
        if answer is None:
            self._failed[ref] = now + FAILED_FOR
            if len(self._failed) > MOST_DOCUMENTS:
                self._failed.popitem(last=False)
            return
        former = self._documents.pop(ref, None)
        self._make_room(len(answer.body), now)
        proven = 0.0 if former is None else former.proven
        self._documents[ref] = _Document(answer.body, now, now + fresh_for(answer.headers), proven)

    def _make_room(self, size: int, now: float) -> None:
        """Drop what is of no use any more; then, while it is too much, whatever verified a delivery least lately."""
        for ref in [ref for ref, each in self._documents.items() if now > each.stale + STALE_FOR]:
            del self._documents[ref]
        held = sum(len(each.body) for each in self._documents.values()) + size
        while self._documents and (len(self._documents) >= MOST_DOCUMENTS or held > MOST_BYTES):
            ref = min(self._documents, key=lambda each: (self._documents[each].proven, self._documents[each].fetched))
            held -= len(self._documents.pop(ref).body)


def _is_document(answer: Answer) -> bool:
    """Return whether this may be a key: it is JSON, PEM or DER, where an error page is markup."""
    return answer.status == 200 and 0 < len(answer.body) <= LARGEST and not answer.body.lstrip().startswith(b"<")
