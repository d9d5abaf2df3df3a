"""Verification of a delivery under one scheme: every active secret against every entry of the signature header.

For any header bytes and any body bytes `verify` returns; it raises nothing. The order is: what the request lacks, then
the signature, then the time, so that a stale delivery is reported as one only if it is genuine.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from gateway.core.admission import RefusedReason, Rejected, Request, Verified
from gateway.core.forms import form_fields
from gateway.core.provider import Claim, ClaimsRule, Message, MessageRule, Prover, Scheme, Terms, Timestamp
from gateway.core.signing import Checker, Labelled
from gateway.core.times import to_micros

_LONGEST_HEADER = 8_192
_MOST_ENTRIES = 32
_LONGEST_STAMP = {"s": 12, "ms": 15, "iso": 40}
_OFFSET = re.compile(rb"(?:Z|[+-][0-9]{2}:[0-9]{2})\Z")
GETS = frozenset({"GET", "HEAD"})
_PARTS = frozenset({"body", "timestamp", "method", "query"})
UNVERIFIED = "none"
"""The label of deliveries that nothing proves."""

_Part = Callable[[Request, bytes], bytes | None]


def value_of(request: Request) -> bytes:
    """Return what a delivery says: its body, or of a GET its query string."""
    return request.query if request.method in GETS else request.body


class Header:
    """The reader of a header that holds one entry, or several between separators."""

    __slots__ = ("_further", "_split", "name")

    def __init__(self, name: str, split: str) -> None:
        self.name = name.lower().encode("latin-1")
        self._split = split[:1].encode()
        self._further = [sign.encode() for sign in split[1:]]

    def entries(self, headers: Mapping[bytes, bytes]) -> Sequence[bytes] | None:
        """Return the entries; none where the header is absent, None where it is too long."""
        value = headers.get(self.name)
        if not value:
            return ()
        if len(value) > _LONGEST_HEADER:
            return None
        if not self._split:
            return (value,)
        for sign in self._further:
            value = value.replace(sign, self._split)
        entries = value.split(self._split)
        return None if len(entries) > _MOST_ENTRIES else [entry.strip() for entry in entries]


class _Headers:
    """The reader of entries that are spread over several headers."""

    __slots__ = ("_readers", "name")

    def __init__(self, names: Sequence[str], split: str) -> None:
        self._readers = [Header(name, split) for name in names]
        self.name = self._readers[0].name

    def entries(self, headers: Mapping[bytes, bytes]) -> Sequence[bytes] | None:
        """Return the entries of all headers; None where one of them is too long."""
        found = [reader.entries(headers) for reader in self._readers]
        return None if None in found else [entry for entries in found for entry in entries or ()]


class Stamps:
    """The reader and judge of timestamps."""

    __slots__ = ("_future_us", "_header", "_leads", "_past_us", "_prefix", "_sets", "header_name", "unit")

    def __init__(self, timestamp: Timestamp, tolerance: float | None) -> None:
        self._header = Header(timestamp.header, timestamp.split)
        self.header_name = self._header.name
        self._prefix = timestamp.prefix.encode()
        # Whole sets side by side, each with the same time: Persona's while a secret is rotated.
        self._sets = len(timestamp.split) > 1
        self._leads = bool(timestamp.split) and not timestamp.prefix
        self.unit = timestamp.unit
        self._past_us = round((timestamp.past if tolerance is None else tolerance) * 1_000_000)
        self._future_us = round((timestamp.future if tolerance is None else tolerance) * 1_000_000)

    def read(self, headers: Mapping[bytes, bytes]) -> bytes | RefusedReason:
        """Return the timestamp as it was sent, and signed."""
        entries = self._header.entries(headers)
        if entries is None:
            return "timestamp_malformed"
        stamps = entries[:1] if self._leads else [entry for entry in entries if entry.startswith(self._prefix)]
        if not stamps:
            return "timestamp_missing"
        several = set(stamps) if self._sets else stamps
        return stamps[0][len(self._prefix) :] if len(several) == 1 else "timestamp_malformed"

    def micros(self, stamp: bytes) -> int | None:
        """Return the time, None where the text is none."""
        if not stamp or len(stamp) > _LONGEST_STAMP[self.unit]:
            return None
        if self.unit == "iso":
            # Without its offset it would be a time still: text could be moved from its end into a body that follows.
            return to_micros(stamp.decode("latin-1"), "s") if _OFFSET.search(stamp) else None
        return int(stamp) * (1_000_000 if self.unit == "s" else 1_000) if stamp.isdigit() else None

    def refusal(self, age_us: int) -> RefusedReason | None:
        """Return why a delivery of that age is refused. Exactly the tolerance is accepted, both ways."""
        if age_us > self._past_us:
            return "timestamp_stale"
        return "timestamp_future" if age_us < -self._future_us else None


class Verifier:
    """A scheme with its secrets, where the signature stands in a header."""

    __slots__ = ("_guarded", "_messages", "_secrets", "_signature", "_stamps", "_tells")

    def __init__(self, scheme: Scheme, secrets: Sequence[Labelled], terms: Terms) -> None:
        names = (scheme.header, *scheme.also)
        self._signature = _Headers(names, scheme.split) if scheme.also else Header(scheme.header, scheme.split)
        self._secrets = tuple(secrets)
        stamped = scheme.timestamp is not None and scheme.timestamp.header
        self._stamps = Stamps(scheme.timestamp, terms.tolerance) if scheme.timestamp and stamped else None
        self._messages = message_rule(scheme, terms)
        # What leaves the body out may be the same for two deliveries that are not.
        self._tells = "body" in (scheme.covers if hooked(scheme) else scheme.message)
        self._guarded = frozenset(
            {name.lower().encode("latin-1") for name in names if not scheme.repeats}
            | {name.encode("latin-1") for name in signed_headers(scheme)}
            | ({self._stamps.header_name} if self._stamps else set())
        )

    def unsigned(self, request: Request) -> bool:
        """Return whether the request carries no signature at all."""
        return self._signature.name not in request.headers

    def verify(self, request: Request, now_us: int) -> Verified | Rejected:
        """Return the label that matched, or why none did."""
        if request.repeated and not self._guarded.isdisjoint(request.repeated):
            return Rejected("signature_repeated")
        entries = self._signature.entries(request.headers)
        if not entries:
            return Rejected("signature_malformed" if entries is None else "signature_missing")
        if self._stamps is None:
            return self._matched(request, b"", entries)
        return self._verify_timed(self._stamps, request, now_us, entries)

    def _verify_timed(
        self, stamps: Stamps, request: Request, now_us: int, entries: Sequence[bytes]
    ) -> Verified | Rejected:
        stamp = stamps.read(request.headers)
        if isinstance(stamp, str):
            return Rejected(stamp)
        micros = stamps.micros(stamp)
        if micros is None:
            return Rejected("timestamp_malformed")
        age_us = now_us - micros
        matched = self._matched(request, stamp, entries)
        if isinstance(matched, Rejected):
            return Rejected(matched.reason, age_us / 1_000_000)
        refusal = stamps.refusal(age_us)
        if refusal is not None:
            return Rejected(refusal, age_us / 1_000_000)
        return Verified(matched.label, age_us / 1_000_000, matched.message)

    def _matched(self, request: Request, stamp: bytes, entries: Sequence[bytes]) -> Verified | Rejected:
        messages = self._messages(request, stamp)
        if isinstance(messages, str):
            return Rejected(messages)
        for label, prefix, checker in self._secrets:
            candidates = _behind(prefix, entries)
            if not candidates:
                continue
            for message in messages:
                if checker.matches(message, candidates):
                    return Verified(label, None, message if self._tells else ())
        return Rejected(self._fault(entries))

    def _fault(self, entries: Sequence[bytes]) -> RefusedReason:
        if not self._secrets:
            return "signature_mismatch"
        formed = any(
            checker.well_formed(candidate)
            for _, prefix, checker in self._secrets
            for candidate in _behind(prefix, entries)
        )
        return "signature_mismatch" if formed else "signature_malformed"


class _TokenInQuery:
    """A scheme whose shared token stands in the query string."""

    __slots__ = ("_name", "_secrets")

    def __init__(self, name: str, secrets: Sequence[Labelled]) -> None:
        self._name = name.encode()
        self._secrets = tuple(secrets)

    def unsigned(self, request: Request) -> bool:
        return not self._tokens(request)

    def verify(self, request: Request, now_us: int) -> Verified | Rejected:  # noqa: ARG002 - a token has no time
        tokens = self._tokens(request)
        if len(tokens) != 1:
            return Rejected("signature_repeated" if tokens else "signature_missing")
        for label, _, checker in self._secrets:
            if checker.matches((), tokens):
                return Verified(label, None)
        return Rejected("signature_mismatch")

    def _tokens(self, request: Request) -> Sequence[bytes]:
        return [value for name, value in form_fields(request.query) or () if name == self._name]


class _Claimed:
    """A scheme whose signatures stand in the body, and must all hold."""

    __slots__ = ("_claims", "_secrets")

    def __init__(self, claims: ClaimsRule, secrets: Sequence[Labelled]) -> None:
        self._claims = claims
        self._secrets = tuple(secrets)

    def unsigned(self, request: Request) -> bool:
        return not request.body

    def verify(self, request: Request, now_us: int) -> Verified | Rejected:  # noqa: ARG002 - `BodyStamp` judges the time
        claims = self._claims(request)
        if isinstance(claims, str):
            return Rejected(claims)
        if not claims:
            return Rejected("signature_missing")
        for label, prefix, checker in self._secrets:
            if all(_holds(claim, prefix, checker) for claim in claims):
                return Verified(label, None)
        return Rejected(self._fault(claims))

    def _fault(self, claims: Sequence[Claim]) -> RefusedReason:
        candidates = [entry for claim in claims for entry in claim.candidates]
        formed = not self._secrets or any(
            checker.well_formed(entry) for _, prefix, checker in self._secrets for entry in _behind(prefix, candidates)
        )
        return "signature_mismatch" if formed else "signature_malformed"


def _holds(claim: Claim, prefix: bytes, checker: Checker) -> bool:
    entries = _behind(prefix, claim.candidates)
    return any(checker.matches(message, entries) for message in (claim.message, *claim.either))


class _Proved:
    """A scheme that verifies in a way of its own."""

    __slots__ = ("_header", "verify")

    def __init__(self, prover: Prover, header: str) -> None:
        self.verify = prover
        self._header = header.lower().encode("latin-1")

    def unsigned(self, request: Request) -> bool:
        return self._header not in request.headers


class Open:
    """No scheme: whatever comes is taken, because the operator said so."""

    __slots__ = ()

    def unsigned(self, request: Request) -> bool:  # noqa: ARG002 - nothing is ever signed here
        """Return that it is."""
        return True

    def verify(self, request: Request, now_us: int) -> Verified:  # noqa: ARG002 - as above
        """Return that there was nothing to match."""
        return Verified(UNVERIFIED, None)


AnyVerifier = Verifier | _TokenInQuery | _Claimed | _Proved | Open


def verifier_of(scheme: Scheme, secrets: Sequence[Labelled], terms: Terms) -> AnyVerifier:
    """Return a scheme's verifier.

    Raises:
        ValueError: the scheme needs a public URL, or a setting that it cannot use.
    """
    if scheme.prover is not None:
        return _Proved(scheme.prover(terms), scheme.header)
    if scheme.claims is not None:
        return _Claimed(scheme.claims(terms), secrets)
    return _TokenInQuery(scheme.query, secrets) if scheme.query else Verifier(scheme, secrets, terms)


def _behind(prefix: bytes, entries: Sequence[bytes]) -> Sequence[bytes]:
    if not prefix:
        return entries
    length = len(prefix)
    return [entry[length:] for entry in entries if entry.startswith(prefix)]


def signed_headers(scheme: Scheme) -> frozenset[str]:
    """Return the headers whose values the signature covers, in lower case."""
    if not signs(scheme):
        return frozenset()
    parts = scheme.covers if hooked(scheme) else scheme.message
    names = (part.partition(":")[2] for part in parts if part.startswith("header:"))
    return frozenset(scheme.aliases[name[1:]] if name.startswith("@") else name.lower() for name in names)


def hooked(scheme: Scheme) -> bool:
    """Return whether code of the provider's, and no list of parts, tells what is signed."""
    return scheme.rule is not None or scheme.claims is not None or scheme.prover is not None


def signs(scheme: Scheme) -> bool:
    """Return whether more than a shared token proves a delivery."""
    return scheme.prover is not None or any(mac.algorithm != "none" for mac in scheme.macs)


def message_rule(scheme: Scheme, terms: Terms) -> Callable[[Request, bytes], Sequence[Message] | RefusedReason]:
    """Return how a scheme's messages are put together, from the request and its timestamp as sent.

    Raises:
        ValueError: the scheme covers the URL, and the source has no public URL.
    """
    if scheme.rule is not None:
        return _ruled(scheme.rule(terms))
    if scheme.message == ("body",):
        return lambda request, _: ((value_of(request),),)
    parts = [_part(scheme, text, terms.url) for text in scheme.message]

    def join(request: Request, stamp: bytes) -> Sequence[Message] | RefusedReason:
        pieces = [piece for part in parts if (piece := part(request, stamp)) is not None]
        return (tuple(pieces),) if len(pieces) == len(parts) else "signature_missing"

    return join


def _ruled(rule: MessageRule) -> Callable[[Request, bytes], Sequence[Message] | RefusedReason]:
    return lambda request, _: rule(request)


def _part(scheme: Scheme, text: str, url: str | None) -> _Part:
    if text.startswith("header:"):
        name = text.removeprefix("header:")
        header = (scheme.aliases[name[1:]] if name.startswith("@") else name.lower()).encode("latin-1")
        # An empty value counts as absent: nothing would be signed in its place.
        return lambda request, _: request.headers.get(header) or None
    if text == "url":
        base = _needed(url).partition("?")[0].encode()
        return lambda request, _: base + b"?" + request.query if request.query else base
    if text == "registered_url":
        registered = _needed(url).encode()
        return lambda _request, _stamp: registered
    if text in _PARTS:
        return _PLAIN[text]
    literal = (text[1:-1] if len(text) > 2 and text[0] == text[-1] == "'" else text).encode()
    return lambda _request, _stamp: literal


_PLAIN: Mapping[str, _Part] = {
    "body": lambda request, _: value_of(request),
    "timestamp": lambda _, stamp: stamp,
    "method": lambda request, _: request.method.encode("latin-1", "replace"),
    "query": lambda request, _: request.query,
}


def _needed(url: str | None) -> str:
    if not url:
        raise ValueError("public_url: is needed, for it is signed; write the URL as it is registered with the provider")
    return url
