"""`verify`: why a delivery was refused, from the request as somebody saved it."""

import asyncio
import time
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from gateway.cli.options import SOURCE, Common, Moment, common
from gateway.cli.quarantine import find
from gateway.cli.saved_request import SavedRequestError, parse
from gateway.config.settings import Settings, SourceSettings
from gateway.core.admission import Events, Handshake, NeedsKey, Request
from gateway.core.diagnosis import UNEXPLAINED, Diagnosis, Suspect, diagnose
from gateway.core.errors import DependencyError
from gateway.core.outgoing import OutgoingError
from gateway.wiring.sources import compiled, paired, suspect_of

_FETCH_SECONDS = 10.0
_MOST_KEYS = 3
_LONGEST_NUMBER = 20


@click.command()
@click.argument("source", type=SOURCE)
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--body", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The exact body, if FILE lacks it."
)
@click.option("--at", type=Moment(), help="When it arrived; by default now.")
@click.option("--quarantined", metavar="ID", help="Take this delivery in quarantine instead, as of its arrival.")
@common
def verify(
    context: Common, *, source: str, file: BinaryIO | None, body: Path | None, at: int | None, quarantined: str | None
) -> int:
    """Say why a saved request is refused.

    SOURCE would accept or refuse the HTTP request in FILE (`-` for standard input): `POST /path HTTP/1.1`, headers, an
    empty line, the exact body; or JSON with `headers` and `body` or `body_base64`. No secret is shown. Exits 1 if it
    is refused.
    """
    if (file is None) == (quarantined is None):
        raise click.UsageError("give a FILE, or --quarantined ID")
    settings = context.settings(secrets=True)
    chosen = _chosen(settings, source)
    if quarantined is not None:
        request = find(settings, quarantined, source=source).request()
        request = request if at is None else msgspec.structs.replace(request, received_us=at)
    else:
        assert file is not None  # noqa: S101 - one of the two is given
        request = _parsed(file, body, at)
    _warn_of_length(context, request)
    found = _with_keys(suspect_of(settings, source, paired(settings)), chosen, request)
    context.output.item(_shown(found))
    if context.output.form == "table" and isinstance(found.admission, Events | Handshake):
        now = at is None and quarantined is None
        context.output.note("it verifies now; --at says when it arrived" if now else "it verifies")
    return 0 if isinstance(found.admission, Events | Handshake) else 1


def _chosen(settings: Settings, name: str) -> SourceSettings:
    for source in settings.sources:
        if source.name == name:
            return source
    raise click.BadParameter(f"no such source; configured: {', '.join(source.name for source in settings.sources)}")


def _parsed(file: BinaryIO, body: Path | None, at: int | None) -> Request:
    received_us = time.time_ns() // 1000 if at is None else at
    try:
        return parse(file.read(), body=None if body is None else body.read_bytes(), received_us=received_us)
    except SavedRequestError as error:
        raise click.UsageError(str(error)) from error


def _warn_of_length(context: Common, request: Request) -> None:
    """Say so if the saved body is not as long as its sender said: then nothing else needs to be wrong."""
    sent = request.headers.get(b"content-length", b"")
    if sent.isdigit() and len(sent) < _LONGEST_NUMBER and int(sent) != len(request.body):
        said = f"content-length says {int(sent)} bytes, the body here has {len(request.body)}"
        context.output.note(f"{said}; was it saved whole? --body gives the exact one")


def _with_keys(suspect: Suspect, chosen: SourceSettings, request: Request) -> Diagnosis:
    """Diagnose, fetching the keys that the provider's signature needs."""
    found = diagnose(suspect, request, request.received_us)
    for _ in range(_MOST_KEYS):
        if not isinstance(found.admission, NeedsKey) or found.admission.ref in request.keys:
            break
        document = asyncio.run(_fetched(chosen, found.admission.ref))
        request = msgspec.structs.replace(request, keys={**request.keys, found.admission.ref: document})
        found = diagnose(suspect, request, request.received_us)
    return found


async def _fetched(chosen: SourceSettings, ref: str) -> bytes:
    from gateway.outgoing import Client  # noqa: PLC0415 - an HTTP client is heavy, and few providers need one

    make = compiled(chosen).key_request
    if make is None:
        raise DependencyError("this provider's key cannot be fetched")
    client = Client()
    try:
        answer = await client.fetch(make(ref), _FETCH_SECONDS)
    except OutgoingError as error:
        raise DependencyError(f"the provider's key cannot be fetched: {error}") from error
    finally:
        await client.close()
    return answer.body


def _shown(found: Diagnosis) -> dict[str, object]:
    admission = found.admission
    if isinstance(admission, Events):
        return {
            "verdict": "accepted",
            "secret": admission.secret,
            "signature_age": admission.signature_age,
            "events": [f"{event.type} {event.id}" for event in admission.events],
        }
    if isinstance(admission, Handshake):
        return {"verdict": "challenge", "secret": admission.secret, "status": admission.ack.status}
    causes = list(found.causes) or [UNEXPLAINED]
    return {"verdict": "refused", "reason": found.reason or "key_unavailable", "causes": causes}
