"""Why a delivery was refused: what would have to be different for it to verify. Pure; never on the way to an answer.

A refused delivery is tried again with what goes wrong in practice put right, one thing at a time: another configured
secret, another body (re-serialised, trimmed, decoded), another URL, another time. What then verifies is the cause. No
secret and no part of a body is ever told.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

import msgspec

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.compile import compile_source
from gateway.core.forms import is_form
from gateway.core.provider import Provider
from gateway.core.source import Secret, Source, SourceOptions

LONGEST_BODY = 256 * 2**10
"""Larger bodies are not tried in other forms: each try costs a pass over them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """The source a delivery was sent to, and the secrets of the other sources of its provider, by source."""

    provider: Provider
    name: str
    secrets: tuple[Secret, ...]
    options: SourceOptions
    others: Mapping[str, tuple[Secret, ...]]


class Diagnosis(NamedTuple):
    """What became of a delivery: `reason` is a refusal's, and `causes` tell what would have to be different."""

    admission: Admission
    reason: str
    causes: tuple[str, ...]


def diagnose(suspect: Suspect, request: Request, now_us: int) -> Diagnosis:
    """Return what a source makes of a delivery, and why.

    Raises:
        ValueError: the source's own settings do not compile.
    """
    source = _compiled(suspect, suspect.secrets, suspect.options)
    admission = source.admit(request, now_us)
    if not isinstance(admission, Rejected):
        return Diagnosis(admission, "", ())
    return Diagnosis(
        admission, admission.reason, tuple(filter(None, _causes(suspect, source, request, admission, LONGEST_BODY)))
    )


def inquire(suspect: Suspect, request: Request, now_us: int, *, longest_json: int = LONGEST_BODY) -> Iterator[str]:
    """Yield the causes that `diagnose` finds, and an empty text after each try in vain: there one may rest, or stop.

    What nothing explains ends with `UNEXPLAINED`; of a delivery that verifies there is nothing to tell. Longer bodies
    than `longest_json` are not written again as JSON, which takes longer than every other try.

    Raises:
        ValueError: as `diagnose` does.
    """
    source = _compiled(suspect, suspect.secrets, suspect.options)
    yield ""
    admission = source.admit(request, now_us)
    explained = not isinstance(admission, Rejected) or admission.reason not in _MISMATCHES
    causes = _causes(suspect, source, request, admission, longest_json) if isinstance(admission, Rejected) else ()
    for cause in causes:
        explained = explained or bool(cause)
        yield cause
    if not explained:
        yield UNEXPLAINED


_MISMATCHES = frozenset({"signature_mismatch", "signature_malformed", "body_digest_mismatch"})


def _causes(suspect: Suspect, source: Source, request: Request, refused: Rejected, longest_json: int) -> Iterator[str]:
    if refused.reason in _TOLD:
        yield _TOLD[refused.reason]
    if refused.reason == "signature_missing":
        yield from _missing(suspect.provider, request)
    elif refused.reason.startswith("timestamp_") and refused.signature_age is not None:
        yield _off(refused.signature_age)
    elif refused.reason in _MISMATCHES:
        yield from _mismatch(suspect, source, request, refused, longest_json)


_TOLD: Mapping[str, str] = {
    "signature_repeated": "a signed header came twice: a proxy in front of the gateway adds or joins headers",
    "timestamp_missing": "the header or field with the time of signing is not there: was it removed on the way?",
    "timestamp_malformed": "the time of signing is no time in the provider's form",
    "batch_too_large": "it holds more events than a delivery of this provider may",
}


def _missing(provider: Provider, request: Request) -> Iterator[str]:
    # Of headers that are numbered for each key of an account the first are enough.
    wanted = dict.fromkeys(name for scheme in provider.schemes for name in (scheme.header, *scheme.also[:3]) if name)
    if wanted:
        yield f"no header {' or '.join(wanted)}: no secret is set at the sender, or a proxy removes the header"
    parameters = dict.fromkeys(scheme.query for scheme in provider.schemes if scheme.query and scheme.claims is None)
    if provider.secrets == "optional" and not parameters:
        yield "the URL has no token: register it with ?token=SECRET"
    if parameters:
        yield f"the URL has no {' or '.join(parameters)} parameter: register it with ?{next(iter(parameters))}=SECRET"
    if not wanted and not parameters:
        yield "the body carries no signature or token: no secret is set at the sender, or it is another provider's"
    close = sorted(name.decode("latin-1") for name in request.headers if b"signature" in name or b"hmac" in name)
    if close:
        yield f"it has {', '.join(close[:5])} instead: is it another provider's delivery?"


def _off(age: float) -> str:
    if age >= 0:
        return f"signed {age:.0f} s before it arrived: a late retry, a replayed request, or this clock is ahead"
    return f"signed {-age:.0f} s after it arrived: this clock is behind"


def _mismatch(
    suspect: Suspect, source: Source, request: Request, refused: Rejected, longest_json: int
) -> Iterator[str]:
    yield from _other_secrets(suspect, request)
    for told, body in _bodies(request, longest_json) if len(request.body) <= LONGEST_BODY else ():
        altered = _verifies(source, msgspec.structs.replace(request, body=body))
        yield f"the body was altered on the way: signed was {told}" if altered else ""
    for url in _urls(suspect.options.public_url, request):
        yield f"signed for the URL {url}; set public_url to it" if _signed_for(suspect, url, request) else ""
    if refused.reason == "signature_malformed":
        yield "the signature is not in the provider's form: is it another provider's, or another version?"


def _signed_for(suspect: Suspect, url: str, request: Request) -> bool:
    try:
        return _verifies(_compiled(suspect, suspect.secrets, replace(suspect.options, public_url=url)), request)
    except ValueError:
        # The host is what the sender wrote: it need not make a URL.
        return False


def _other_secrets(suspect: Suspect, request: Request) -> Iterator[str]:
    for name, secrets in suspect.others.items():
        for secret in secrets:
            try:
                other = _compiled(suspect, (secret,), suspect.options)
            except ValueError:
                continue
            told = f"signed with secret {secret.label!r} of source {name}: the sender uses this source's URL for it"
            yield told if _verifies(other, request) else ""


def _bodies(request: Request, longest_json: int) -> Iterator[tuple[str, bytes]]:
    """Return what the signed body may have been, each told in words."""
    body = request.body
    for told, changed in (
        ("without the newline at its end", body.rstrip(b"\r\n")),
        ("with a newline at its end", body + b"\n"),
        ("with CRLF at its end", body + b"\r\n"),
        ("with LF line ends", body.replace(b"\r\n", b"\n")),
        ("with CRLF line ends", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
        ("without a byte order mark", body.removeprefix(b"\xef\xbb\xbf")),
    ):
        if changed != body:
            yield told, changed
    if is_form(request.headers.get(b"content-type")):
        yield "the form before it was decoded", unquote_to_bytes(body.replace(b"+", b" "))
    if len(body) <= longest_json:
        yield from _written_again(body)


def _written_again(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        tree = json.loads(body)
        for told, options in _STYLES.items():
            written = json.dumps(tree, **options).encode("utf-8", "surrogatepass")
            if written != body:
                yield told, written
        # The standard library's indents are written by Python code: for a large body a matter of 10 ms.
        yield "the same JSON indented by two", msgspec.json.format(body, indent=2)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return


_STYLES: Mapping[str, Mapping[str, Any]] = {
    "the same JSON without blanks": {"separators": (",", ":"), "ensure_ascii": False},
    "the same JSON without blanks, non-ASCII escaped": {"separators": (",", ":")},
    "the same JSON with a blank behind commas and colons": {"ensure_ascii": False},
    "the same JSON with a blank behind commas and colons, non-ASCII escaped": {},
}


def _urls(url: str | None, request: Request) -> Iterator[str]:
    """Return what the registered URL may have been instead."""
    if not url:
        return
    parts = urlsplit(url)
    host = request.headers.get(b"x-forwarded-host", request.headers.get(b"host", b"")).decode("latin-1")
    hosts = dict.fromkeys(name for name in (parts.netloc, host, parts.hostname or "") if name)
    paths = dict.fromkeys((parts.path, parts.path.rstrip("/"), parts.path.rstrip("/") + "/"))
    for scheme in ("https", "http"):
        for netloc in hosts:
            for path in paths:
                other = urlunsplit((scheme, netloc, path, "", ""))
                if other != url:
                    yield other


UNEXPLAINED = (
    "no configured secret of this provider fits: another one was used, or the body is not the one that was sent"
)
"""What remains where no cause was found."""


def _verifies(source: Source, request: Request) -> bool:
    """Return whether the signature holds, whatever the time says."""
    admission = source.admit(request, request.received_us)
    if isinstance(admission, Rejected):
        return admission.reason in {"timestamp_stale", "timestamp_future", "batch_too_large"}
    return isinstance(admission, Events | Handshake) and not isinstance(admission, NeedsKey)


def _compiled(suspect: Suspect, secrets: Sequence[Secret], options: SourceOptions) -> Source:
    return compile_source(suspect.provider, name=suspect.name, secrets=tuple(secrets), options=options)
