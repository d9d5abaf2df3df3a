"""What admission costs: microseconds per delivery of about 2 KB, for each provider (python -m tests.bench.admission).

Each figure is the best of several rounds, so that what else the machine does counts little; the column beside it shows
what of it cannot be saved, the digest of the body that the log needs. Then the same delivery is timed in a gateway with
one source and in one with a source for every provider: the ratio tells whether a provider pays for its neighbours.
"""

import asyncio
import contextlib
import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import msgspec
from rich.console import Console
from rich.table import Table

from gateway.core.admission import Events, Request
from gateway.core.provider import Provider
from gateway.core.source import Source
from gateway.providers import PROVIDERS
from tests.admitting import delivered, secret_of
from tests.asgi import call
from tests.bench.table import Row, at_most, show
from tests.edge import CountingMeter, DecidedLog, build_edge
from tests.provider_shape import ProviderShape

BYTES = 2_048
ROUNDS, CALLS = 5, 400
ALONE = ("stripe", "github", "slack", "standard_webhooks")
MOST = 1.25
_PUBLIC_KEYS = frozenset({"ed25519", "ecdsa-p256-sha256", "rsa-sha256"})


def filled(body: bytes) -> bytes:
    """Return the body with more in it, up to 2 KB, whatever form it has; as it is where there is no room."""
    missing = BYTES - len(body)
    end = body.rstrip()[-2:]
    if missing < 40:
        return body
    if end in {b"}]", b"}}"} or end[-1:] == b"}":
        at = body.rindex(b"}") if end != b"}]" else body.rindex(b"}]")
        return body[:at] + b', "padding": "' + b"x" * (missing - 15) + b'"' + body[at:]
    if end[-1:] == b">":
        return body + b"<!--" + b"x" * (missing - 7) + b"-->"
    return body + b"&Padding=" + b"x" * (missing - 9) if b"=" in body else body


def delivery(shape: ProviderShape, event_type: str, *, at_us: int | None = None) -> Request:
    """Return a signed delivery of the provider's example of about 2 KB, with as many headers as behind a proxy."""
    asked = shape.example(event_type, at_us=at_us)
    target = shape.source()
    extra = {f"x-forwarded-{index}".encode(): b"value" for index in range(8)}
    for body in (filled(asked.body), asked.body):
        # A few forms have no room for more than they say.
        with contextlib.suppress(ValueError):
            sent = delivered(shape.sign(replace(asked, body=body)))
            sent = msgspec.structs.replace(sent, headers={**sent.headers, **extra}, keys=shape.keys)
            if isinstance(target.admit(sent, at_us or shape.at_us), Events):
                return sent
    raise AssertionError(f"{shape.provider.name}: an example is not admitted")


def microseconds(action: Callable[[], object], calls: int = CALLS) -> float:
    """Return the best round's time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            action()
        best = min(best, time.perf_counter() - began)
    return best / calls * 1e6


def scheme_of(provider: Provider, sent: Request) -> str:
    """Return how the delivery is proved, in a word or two."""
    scheme = next((each for each in provider.schemes if each.header.encode() in sent.headers), provider.schemes[-1])
    if provider.secrets == "none":
        return "fetched key"
    if scheme.prover is not None:
        return "token, digest" if scheme.covers else "shared token"
    algorithm = scheme.macs[0].algorithm
    named = "shared token" if algorithm == "none" else algorithm
    return f"{named}, fields" if scheme.claims is not None else named


def uses_public_keys(provider: Provider) -> bool:
    """Return whether verification is asymmetric."""
    macs = (mac for scheme in provider.schemes for mac in scheme.macs)
    return provider.secrets == "none" or any(
        mac.algorithm in _PUBLIC_KEYS and provider.schemes[-1].macs[0] == mac for mac in macs
    )


def table_of(title: str, shapes: Mapping[str, ProviderShape]) -> Table:
    table = Table(title=title)
    for column in ("provider", "scheme", "example", "bytes", "admit", "SHA-256 alone"):
        table.add_column(column, justify="right" if column in {"bytes", "admit", "SHA-256 alone"} else "left")
    for name, shape in shapes.items():
        event_type, target = next(iter(shape.provider.examples)), shape.source()
        sent = delivery(shape, event_type)
        cost = microseconds(partial(target.admit, sent, shape.at_us))
        sha = microseconds(partial(hashlib.sha256, sent.body))
        size = len(sent.body) or len(sent.query)
        table.add_row(name, scheme_of(shape.provider, sent), event_type, str(size), f"{cost:.1f}", f"{sha:.1f}")
    return table


def alone() -> Mapping[str, Callable[[], float]]:
    """Return what times a few providers, of which no other is imported yet."""
    timed: dict[str, Callable[[], float]] = {}
    for name in ALONE:
        data = {"provider": PROVIDERS[name], "secret": secret_of(name)}
        shape: ProviderShape = type("Alone", (ProviderShape,), data)()
        sent = delivery(shape, next(iter(shape.provider.examples)))
        timed[name] = partial(microseconds, partial(shape.source().admit, sent, shape.at_us), 2_000)
    return timed


def neighbours(shapes: Mapping[str, ProviderShape]) -> list[Row]:
    """Time deliveries of one provider through an edge with its source alone and through one with every source."""
    shape = shapes["stripe"]
    now_us = time.time_ns() // 1000
    sent = delivery(shape, next(iter(shape.provider.examples)), at_us=now_us)
    only, every = _edge(shape.source()), _edge(*(_named(name, each) for name, each in shapes.items()))
    paths = ((only, "/webhooks/test"), (every, "/webhooks/stripe"))
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS * 2):
        for index, (edge, path) in enumerate(paths):
            best[index] = min(best[index], asyncio.run(_through(edge, path, sent)))
    return [at_most(f"edge: a delivery of Stripe's beside {len(shapes) - 1} sources, against alone",
                    best[1] / best[0], MOST)]  # fmt: skip


def _edge(*sources: Source) -> Callable[[], object]:
    return lambda: build_edge(DecidedLog(), CountingMeter(), *sources)


def _named(name: str, shape: ProviderShape) -> Source:
    return replace(shape.source(), name=name)


async def _through(build: Callable[[], object], path: str, sent: Request) -> float:
    """Return the seconds that some deliveries take."""
    edge = build()
    headers = list(sent.headers.items())
    began = time.perf_counter()
    for _ in range(CALLS):
        made = await call(edge, [sent.body], headers=headers, path=path)  # type: ignore[arg-type]
        assert made.status == 200
    return time.perf_counter() - began


def main() -> int:
    """Measure and print."""
    timed = alone()
    before = {name: measure() for name, measure in timed.items()}
    # Only now are all providers imported, and a source compiled for each.
    from tests.catalogue import shapes  # noqa: PLC0415 - as said

    every = shapes()
    compiled = [shape.source() for shape in every.values()]
    rows = [
        at_most(f"admission: {name} beside {len(compiled) - 1} other sources, against alone",
                measure() / before[name], MOST)
        for name, measure in timed.items()
    ]  # fmt: skip
    console = Console(width=120)
    public = {name: shape for name, shape in every.items() if uses_public_keys(shape.provider)}
    console.print(table_of("admission by shared secrets, microseconds per delivery",
                           {name: shape for name, shape in every.items() if name not in public}))  # fmt: skip
    console.print(table_of("admission by public keys, microseconds per delivery", public))
    show([*rows, *neighbours(every)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
