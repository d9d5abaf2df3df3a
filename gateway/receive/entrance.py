"""A source as the edge sees it: everything a delivery needs, looked up and encoded once."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.core.admission import Events
from gateway.core.event import Event
from gateway.core.source import Source
from gateway.receive.clients import Address, Network, networks, within
from gateway.receive.feeds import AddressList
from gateway.receive.keys import Keys
from gateway.receive.limits import TokenBucket
from gateway.receive.meter import EdgeMeter, SourceMeter
from gateway.receive.replays import BodyMemory, digest_of
from gateway.receive.responses import ACCEPTED, DUPLICATE, Reply, method_refused, prescribed
from gateway.receive.uses import LabelUses


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """One source with its meter, its answers, and what the edge remembers of it.

    `bucket` is None without a rate, `bodies` where the signature covers the id (a replay is a duplicate there),
    `listed` without `allow_ips: [provider]`, `keys` where no scheme needs one that must be fetched.
    """

    source: Source
    meter: SourceMeter
    accepted: Reply
    duplicate: Reply
    wrong_method: Reply
    allowed: tuple[Network, ...]
    content_types: frozenset[str]
    bucket: TokenBucket | None
    bodies: BodyMemory | None
    uses: LabelUses
    listed: AddressList | None = None
    keys: Keys | None = None

    @property
    def guarded(self) -> bool:
        """Whether not every address may send."""
        return bool(self.allowed) or self.listed is not None

    def admits(self, address: Address | None) -> bool | None:
        """Return whether the address may send; None if nobody can tell, as the provider's list is not known yet."""
        if within(address, self.allowed):
            return True
        return False if self.listed is None else self.listed.admits(address)

    def screened(self, admission: Events) -> Sequence[Event] | None:
        """Flag old bodies under new unsigned ids; None if the source refuses such events (design section 6.14)."""
        if self.bodies is None:
            return admission.events
        found = []
        for event in admission.events:
            suspected = not event.id_is_signed and self.bodies.came_under_another_id(
                digest_of(event, admission.message), event.id
            )
            if suspected and self.source.on_replay == "refuse":
                self.meter.flagged("suspected_replay")
                return None
            flags = tuple(sorted({*event.flags, "suspected_replay"})) if suspected else event.flags
            found.append(msgspec.structs.replace(event, flags=flags) if suspected else event)
        return found


def open_entrance(source: Source, meter: EdgeMeter, *, now: float, remembered_bodies: int) -> Entrance:
    """Return the entrance of a source.

    Raises:
        ValueError: an address in `allow_ips` is none, or a prescribed answer holds a control character.
    """
    own = None if source.accepted is None else prescribed(source.accepted)
    return Entrance(
        source=source,
        meter=meter.source(source.name),
        accepted=own or ACCEPTED,
        duplicate=own or DUPLICATE,
        wrong_method=method_refused(source.methods),
        allowed=networks(source.allow_ips),
        content_types=frozenset(name.lower() for name in source.content_types),
        bucket=None if source.rate is None else TokenBucket(source.rate, now),
        bodies=None if source.id_is_signed else BodyMemory(remembered_bodies),
        uses=LabelUses(),
    )
