"""A source as the edge sees it: everything a delivery needs, looked up and encoded once."""

from dataclasses import dataclass

from gateway.core.source import Source
from gateway.receive.clients import Network, networks
from gateway.receive.limits import TokenBucket
from gateway.receive.meter import EdgeMeter, SourceMeter
from gateway.receive.replays import BodyMemory
from gateway.receive.responses import ACCEPTED, DUPLICATE, Reply, method_refused, prescribed


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """One source with its meter, its answers, and what the edge remembers of it.

    `bucket` is None without a rate, `bodies` where the signature covers the id (a replay is a duplicate there).
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
    )
