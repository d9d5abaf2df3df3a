"""Test deliveries: a provider's example bodies with an id and the time filled in, ready for `Source.sign`."""

import json
from string import Template
from urllib.parse import quote_plus

from gateway.core.event import from_micros
from gateway.core.provider import Provider
from gateway.core.source import SignRequest


def example(provider: Provider, event_type: str | None = None, *, event_id: str, now_us: int) -> SignRequest:
    """Return an example delivery of that type, by default the provider's first.

    Raises:
        ValueError: the provider has no example of that type, or none at all.
    """
    if not provider.examples:
        raise ValueError(f"{provider.title} has no examples: give a body")
    wanted = next(iter(provider.examples)) if event_type is None else event_type
    if wanted not in provider.examples:
        raise ValueError(f"there is no example of {wanted!r}; there are: {', '.join(provider.examples)}")
    chosen = provider.examples[wanted]
    values = {
        "id": event_id,
        "type": wanted,
        "time": from_micros(now_us).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "time_s": str(now_us // 1_000_000),
    }
    form = chosen.content_type.startswith("application/x-www-form-urlencoded")
    escaped = {name: quote_plus(value) if form else json.dumps(value)[1:-1] for name, value in values.items()}
    body = Template(chosen.body).safe_substitute(escaped).encode()
    method = "POST" if "POST" in provider.methods else provider.methods[0]
    return SignRequest(
        body=b"" if method == "GET" else body,
        query=body if method == "GET" else b"",
        method=method,
        now_us=now_us,
        event_id=event_id,
        event_type=wanted,
        content_type=chosen.content_type,
    )
