"""The quarantine in tests: a source whose secret can be wrong, an edge on a folder, and deliveries to it."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core.admission import Admission
from gateway.core.compile import compile_source
from gateway.core.diagnosis import Suspect
from gateway.core.source import Secret, Source, SourceOptions
from gateway.providers import PROVIDERS
from gateway.receive import quarantined
from gateway.receive.app import Edge
from gateway.receive.quarantined import Bounds, Entry, Quarantined
from tests.asgi import Call, call
from tests.edge import CountingMeter, DecidedLog, build_edge

RIGHT, WRONG = "the right secret", "a wrong secret"
BOUNDS = Bounds(max_bytes=2**20, max_age=3600.0)
MINUTE_US = 60 * 10**6


def body_of(event_id: str, *, filler: int = 0) -> bytes:
    return json.dumps({"id": event_id, "type": "invoice.paid", "data": "x" * filler}).encode()


def signed(body: bytes, at_us: int, secret: str = RIGHT) -> list[tuple[bytes, bytes]]:
    """Sign as Stripe does."""
    stamp = at_us // 10**6
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return [(b"content-type", b"application/json"), (b"stripe-signature", f"t={stamp},v1={digest}".encode())]


def make(number: int = 1, **over: Any) -> Quarantined:
    """A delivery of the right secret, arrived `number` minutes after the epoch."""
    at_us = number * MINUTE_US
    body = over.get("body", body_of(f"evt_{number}"))
    values: dict[str, Any] = {
        "at_us": at_us,
        "id": f"{number:026d}",
        "source": "acme",
        "reason": "signature_mismatch",
        "client": "192.0.2.1",
        "method": "POST",
        "query": b"",
        "headers": tuple(signed(body, over.get("at_us", at_us))),
        "body": body,
    }
    return Quarantined(**(values | over))


def put(folder: Path, *deliveries: Quarantined, bounds: Bounds = BOUNDS) -> None:
    """Keep deliveries; now is when the last arrived."""
    for source in {each.source for each in deliveries}:
        fresh = [each for each in deliveries if each.source == source]
        quarantined.keep(folder, source, fresh, bounds, max(each.at_us for each in fresh))


def entry_of(folder: Path, id: str, source: str = "acme") -> Entry:  # noqa: A002 - the field's name
    return next(entry for entry in quarantined.entries(folder, source) if entry.id == id)


def ids(folder: Path, source: str = "acme") -> list[str]:
    return [entry.id for entry in quarantined.entries(folder, source)]


@dataclass
class Rig:
    """Edges on one folder, each with the secret it is given; `judged` counts what admission was asked."""

    folder: Path
    log: DecidedLog = field(default_factory=DecidedLog)
    meter: CountingMeter = field(default_factory=CountingMeter)
    judged: int = 0

    def source(self, secret: str) -> Source:
        compiled = compile_source(
            PROVIDERS["stripe"], name="acme", secrets=(Secret("s0", secret),), options=SourceOptions()
        )

        def admit(request: Any, now_us: int) -> Admission:
            self.judged += 1
            return compiled.admit(request, now_us)

        values = {name: getattr(compiled, name) for name in compiled.__dataclass_fields__}
        return Source(**(values | {"admit": admit}))

    def edge(self, secret: str = RIGHT, **over: Any) -> Edge:
        def suspect_of(name: str, late: Mapping[str, Sequence[Secret]]) -> Suspect:
            others = {"neighbour": (Secret("theirs", WRONG if secret == RIGHT else RIGHT),)}
            return Suspect(
                provider=PROVIDERS["stripe"],
                name=name,
                secrets=(Secret("s0", secret),),
                options=SourceOptions(),
                others=others,
            )

        source = over.pop("source", None) or self.source(secret)
        values: dict[str, Any] = {"kept": self.folder, "quarantine": {"acme": BOUNDS}, "suspect_of": suspect_of}
        return build_edge(self.log, self.meter, source, **(values | over))

    async def readmit(self, edge: Edge, *chosen: str, dry_run: bool = False) -> list[Mapping[str, Any]]:
        """Readmit those (all, if none is named); return what was told of each, the sums last."""
        wanted = chosen or ids(self.folder)
        return [told async for told in edge.readmission.run("acme", wanted, dry_run=dry_run)]


async def deliver(edge: Edge, body: bytes, headers: Sequence[tuple[bytes, bytes]], **over: Any) -> Call:
    return await call(edge, [body], headers=headers, **over)
