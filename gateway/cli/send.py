"""`send`: one signed test delivery, as the provider would send it."""

import http.client
import secrets
import ssl
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import click
import orjson

from gateway.cli.options import SOURCE, Common, common
from gateway.cli.provider_facts import needs_private_key
from gateway.cli.text import printable
from gateway.cli.urls import local_url
from gateway.config.installed import PROVIDERS
from gateway.config.load import Loaded
from gateway.config.references import DSN
from gateway.core.errors import ConfigError, DependencyError, GatewayError
from gateway.core.source import SignedRequest, SignRequest, Source
from gateway.providers.examples import example
from gateway.wiring.sources import paired, recompiled

_DEADLINE = 10.0
_LONGEST_ANSWER = 64 * 2**10
_STALE_BY_US = 30 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered, and how long it took, in seconds."""

    status: int
    body: bytes
    delivery_id: str
    seconds: float


Expected = Literal["accepted", "duplicate", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command."""

    file: Path | None
    content_type: str
    event_id: str | None
    url: str | None
    duplicate: bool
    stale: bool
    forge: bool

    def expected(self) -> tuple[Expected, ...]:
        """Return what each delivery must be answered."""
        if self.stale or self.forge:
            return ("refused", "refused") if self.duplicate else ("refused",)
        return ("accepted", "duplicate") if self.duplicate else ("accepted",)


@click.command()
@click.argument("source", type=SOURCE)
@click.argument("event_type", metavar="[TYPE]", required=False)
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The body; else an example.")
@click.option("--content-type", default="application/json", show_default=True, help="Of --file.")
@click.option("--id", "event_id", help="The event's id; else a new one.")
@click.option("--url", help="Where to send; else to this machine's gateway.")
@click.option("--duplicate", is_flag=True, help="Send it twice: the second must be known as a duplicate.")
@click.option("--stale", is_flag=True, help="Sign it as of 30 days ago: it must be refused.")
@click.option("--forge", is_flag=True, help="Change the body after signing: it must be refused.")
@common
def send(context: Common, source: str, event_type: str | None, **options: Any) -> int:
    """Send a signed test delivery to the running gateway.

    It is signed with the first configured secret of SOURCE, or the one it was paired with. Exit status 1 if the answer
    is not the expected one.
    """
    asked = Asked(**options)
    loaded = context.loaded(secrets=True, optional=[DSN])
    compiled = _compiled(loaded, source)
    wanted = _wanted(compiled, event_type, asked)
    request = _signed(compiled, wanted)
    if asked.forge:
        request = _forged(request)
    target = asked.url or f"{local_url(loaded.settings)}/webhooks/{source}"
    all_fit = True
    for expected in asked.expected():
        answer = post(target, request)
        fits = _fits(answer, expected)
        all_fit = all_fit and fits
        context.output.item(_described(wanted, answer, expected, target))
    return 0 if all_fit else 1


def _compiled(loaded: Loaded, name: str) -> Source:
    if name not in loaded.compiled:
        raise ConfigError(f"no source {name} is configured; configured: {', '.join(sorted(loaded.compiled))}")
    source = loaded.compiled[name]
    if source.sign is not None:
        return source
    try:
        return recompiled(loaded.settings, name, paired(loaded.settings).get(name, ()))
    except ValueError:
        return source


def _wanted(source: Source, event_type: str | None, asked: Asked) -> SignRequest:
    now_us = time.time_ns() // 1000 - (_STALE_BY_US if asked.stale else 0)
    event_id = asked.event_id or f"evt_test_{secrets.token_hex(8)}"
    provider = PROVIDERS.get(source.provider)
    if asked.file is None and provider is not None:
        try:
            return example(provider, event_type, event_id=event_id, now_us=now_us)
        except ValueError as error:
            raise click.UsageError(f"{error}; --file sends a body of your own") from None
    event_type = event_type or "test"
    return SignRequest(
        body=asked.file.read_bytes() if asked.file is not None else _body(event_id, event_type),
        now_us=now_us,
        event_id=event_id,
        event_type=event_type,
        content_type=asked.content_type,
    )


def _body(event_id: str, event_type: str) -> bytes:
    return orjson.dumps({"id": event_id, "type": event_type})


def _signed(source: Source, wanted: SignRequest) -> SignedRequest:
    if source.sign is None:
        raise GatewayError(_unsignable(source))
    try:
        return source.sign(wanted)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _unsignable(source: Source) -> str:
    provider = PROVIDERS.get(source.provider)
    if provider is not None and provider.secrets == "paired":
        return f"source {source.name} has no secret yet; `gateway pair {source.name}`, or configure the one you have"
    if provider is not None and needs_private_key(provider):
        remedy = "to test, configure a private key of your own (PEM) as its secret, here and in the running gateway"
        return f"source {source.name} has a public key, which signs nothing; {remedy}"
    return f"only {source.provider} itself can sign for source {source.name}"


def _forged(request: SignedRequest) -> SignedRequest:
    if request.body:
        return replace(request, body=request.body[:-1] + bytes([request.body[-1] ^ 1]))
    return replace(request, query=request.query + b"&forged=1")


def _fits(answer: Answer, expected: Expected) -> bool:
    if expected == "refused":
        return answer.status == http.client.UNAUTHORIZED
    return 200 <= answer.status < 300 and not (expected == "duplicate" and b"accepted" in answer.body)


def _described(wanted: SignRequest, answer: Answer, expected: str, url: str) -> dict[str, object]:
    return {
        "url": url,
        "id": wanted.event_id,
        "type": wanted.event_type,
        "expected": expected,
        "status": answer.status,
        "body": printable(answer.body.decode("utf-8", "replace")),
        "delivery_id": answer.delivery_id,
        "milliseconds": round(answer.seconds * 1000, 2),
    }


def post(url: str, request: SignedRequest) -> Answer:
    """Send one request, and read the answer within ten seconds.

    Raises:
        DependencyError: nobody answers there.
        click.UsageError: it is no URL to send to.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError("--url must be an http or https URL")
    path = (parts.path or "/") + (f"?{request.query.decode('latin-1')}" if request.query else "")
    connection = _connection(parts.scheme, parts.hostname, parts.port)
    began = time.perf_counter()
    try:
        connection.request(request.method, path, body=request.body, headers=dict(request.headers))
        response = connection.getresponse()
        body = response.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        place = f"{parts.scheme}://{parts.netloc}"
        raise DependencyError(f"no answer from {place} ({type(error).__name__}); is `gateway run` running?") from error
    finally:
        connection.close()
    return Answer(response.status, body, response.getheader("gateway-delivery-id", ""), time.perf_counter() - began)


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=_DEADLINE, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=_DEADLINE)
