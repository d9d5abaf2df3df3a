"""What admission costs: microseconds per delivery of about 2 KB, for each provider (python -m tests.bench.admission).

Each figure is the best of several rounds, so that what else the machine does counts little; two columns at the right
show what of it cannot be saved, the digests of the body that the scheme and the log need.
"""

import hashlib
import hmac
import json
import sys
from collections.abc import Callable
from time import perf_counter

from rich.console import Console
from rich.table import Table

from gateway.core.admission import Events, Request
from gateway.core.source import Source
from gateway.providers import PROVIDERS
from gateway.providers.examples import example
from tests.admitting import NOW_US, custom, request, secret_of, source

BYTES = 2_048
ROUNDS, CALLS = 7, 2_000
CUSTOM = {"signature": {"header": "x-acme-signature", "prefix": "sha256="}}


def delivery(target: Source, body: bytes, content_type: str, event_type: str) -> Request:
    """Return a signed delivery of the provider's example, filled up to 2 KB."""
    asked = example(PROVIDERS.get(target.provider, ACME), event_type, event_id="evt_1", now_us=NOW_US)
    assert target.sign is not None
    signed = target.sign(type(asked)(body=body, now_us=NOW_US, event_id="evt_1", event_type=event_type,
                                     content_type=content_type))  # fmt: skip
    # As many headers as a provider behind a proxy sends.
    extra = {f"x-forwarded-{index}": "value" for index in range(8)}
    return request(signed.body, dict(signed.headers) | extra, query=signed.query)


def filled(body: bytes, content_type: str) -> bytes:
    """Return the body with more fields, up to 2 KB."""
    missing = BYTES - len(body)
    if content_type.startswith("application/x-www-form-urlencoded"):
        return body + b"&Padding=" + b"x" * (missing - 9)
    links = [f"https://api.example.com/things/{index}" for index in range(max(missing, 0) // 40)]
    if body.lstrip().startswith(b"["):
        return body
    return body.rstrip()[:-1] + b', "links": ' + json.dumps(links).encode() + b"}"


def microseconds(call: Callable[[], object]) -> float:
    """Return the best round's time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, perf_counter() - began)
    return best / CALLS * 1e6


ACME = custom(CUSTOM, {"id": "header:x-acme-id", "type": "json:kind", "time": "json:at"})


def main() -> int:
    """Measure and print."""
    table = Table(title="admission, microseconds per delivery")
    for column in ("provider", "example", "bytes", "admit", "HMAC alone", "SHA-256 alone"):
        table.add_column(column, justify="left" if column in {"provider", "example"} else "right")
    for provider in [*PROVIDERS.values(), ACME]:
        target = source(provider, secret_of(provider.name))
        for event_type in list(provider.examples)[:: max(len(provider.examples) - 1, 1)]:
            asked = example(provider, event_type, event_id="evt_1", now_us=NOW_US)
            sent = delivery(target, filled(asked.body, asked.content_type), asked.content_type, event_type)
            assert isinstance(target.admit(sent, NOW_US), Events)
            cost = microseconds(lambda sent=sent, target=target: target.admit(sent, NOW_US))  # type: ignore[misc]
            mac = microseconds(lambda sent=sent: hmac.digest(b"k" * 32, sent.body, "sha256"))  # type: ignore[misc]
            sha = microseconds(lambda sent=sent: hashlib.sha256(sent.body).digest())  # type: ignore[misc]
            figures = (f"{figure:.1f}" for figure in (cost, mac, sha))
            table.add_row(provider.name, event_type, str(len(sent.body)), *figures)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
