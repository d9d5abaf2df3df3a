"""Objects that an event only names: where they stand in the provider's API, and the request that gets one.

Whoever sends an event could choose what is asked with the operator's credential, so: only listed hosts are asked, and
what comes from an event is percent-encoded into its place, or is a URL as a whole whose host must be listed.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from gateway.core.event import Event
from gateway.core.expressions import as_text, body_digest, parse_expression
from gateway.core.forms import form_fields
from gateway.core.matching import compile_pattern
from gateway.core.outgoing import Answer, Ask, NotFoundError, OutgoingError
from gateway.core.paths import parse_path

MOST_BYTES = 8 * 2**20

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_HOST = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_KINDS = frozenset({"json", "header", "form", "query", "body", "text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """When an object may be used: as soon as the value at `path` of its JSON is one of `values`."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPath:
    """Where one kind of object stands.

    Attributes:
        url: a path below the API's first host, or a URL. `{EXPRESSION}` is filled in with the event's value,
            percent-encoded; a URL that is nothing but one such place is the value itself.
        when: the path applies where this expression has a value
        fits: that this pattern matches: a literal, or a text that ends in `*`. An empty `when` applies to every event.
        final: None where the object may be used as it comes.
    """

    url: str
    when: str = ""
    fits: str = "*"
    final: Final | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectApi:
    """A provider's API, as far as getting an object goes.

    Attributes:
        hosts: which may be asked; the first is that of paths. Empty where each account has its own.
        send: how the credential is sent: `bearer`; `basic`, as the user's name or `NAME:PASSWORD`; `header:NAME`.
        objects: the first path that applies to an event decides; none where events name no object.
        headers: further headers, names in lower case, and the expressions for them; one without a value is left out.
        credential_hint: which credential is meant and where to find it.
    """

    hosts: tuple[str, ...] = ()
    send: str = "bearer"
    objects: tuple[ObjectPath, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    credential_hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """What an operator sets for a source's API; None and empty mean the provider's own.

    `rate` counts requests a second in each worker; `private` allows hosts in this network, and plain `http`.
    """

    credential: str = field(repr=False)
    hosts: tuple[str, ...] = ()
    send: str | None = None
    url: str | None = None
    final: Final | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: float = 10.0
    private: bool = False


class Objects:
    """The compiled API of one source.

    Raises:
        ValueError: something of it is wrong; the message begins with the option.
    """

    def __init__(self, api: ObjectApi, options: FetchOptions) -> None:
        self.hosts = tuple(host.lower() for host in options.hosts or api.hosts)
        self.rate = options.rate
        self._private = options.private
        self._paths = api.objects if options.url is None else (ObjectPath(url=options.url, final=options.final),)
        self._final = options.final
        self._fixed = {name.lower(): text for name, text in options.headers.items()}
        self._headers = {name: text for name, text in api.headers.items() if name not in self._fixed}
        self._credential = _credential(options.send or api.send, options.credential)
        self._check()

    def named_by(self, event: Event) -> tuple[Ask, Final | None]:
        """Return the request for the object that the event names, and when that may be used.

        Raises:
            NotFoundError: the event names none.
            OutgoingError: it names one of a host that is not listed.
        """
        values = Values(event)
        for path in self._paths:
            found = values.text(path.when) if path.when else ""
            if found is not None and compile_pattern(path.fits).matches(found):
                where = _filled(path.url, values)
                if where is not None:
                    return self.at(event, where), self._final or path.final
        raise NotFoundError(f"source {event.source}: the event names no object", 0)

    def at(self, event: Event, where: str) -> Ask:
        """Return the request for a path below the first host, or for a URL of a listed host.

        Raises:
            OutgoingError: it is neither.
        """
        url = f"https://{self.hosts[0]}{where}" if where.startswith("/") and not where.startswith("//") else where
        values = Values(event)
        extra = {name: text for name, said in self._headers.items() if (text := values.text(said)) is not None}
        return Ask(
            url=self._checked(url),
            headers={"accept": "application/json", **extra, **self._fixed, **self._credential},
            max_bytes=MOST_BYTES,
            private=self._private,
        )

    def _checked(self, url: str) -> str:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise OutgoingError("what is to be fetched is no URL") from None
        if not _is_plain(url, parts) or parts.scheme not in (("https", "http") if self._private else ("https",)):
            raise OutgoingError("what is to be fetched is no path and no plain https URL")
        if parts.netloc.lower() not in self.hosts:
            raise OutgoingError("what is to be fetched is of a host that the source's `fetch.hosts` does not list")
        return url

    def _check(self) -> None:
        if not self.hosts:
            raise ValueError("hosts: is needed; write the API's host, such as api.example.com")
        if not all(_HOST.fullmatch(host) for host in self.hosts):
            raise ValueError('hosts: is no host; write one such as "api.example.com"')
        for path in self._paths:
            _check_template(path.url, private=self._private)
            _check_expression(path.when)
        for text in self._headers.values():
            _check_expression(text)


class Values:
    """What expressions read of a stored event; a part that does not parse has no values."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._tree: Any = None
        self._parsed = False

    def text(self, expression: str) -> str | None:
        """Return the value of the first alternative of which every term has one."""
        for join in parse_expression(expression):
            parts = [self._term(term.kind, term.name) for term in join]
            if all(parts):
                return "".join(part for part in parts if part)
        return None

    def _term(self, kind: str, name: str) -> str | None:
        if kind == "text":
            return name
        if kind == "json":
            return as_text(_walk(self._json(), parse_path(name)))
        if kind == "header":
            return self._event.headers.get(name)
        if kind == "body":
            return body_digest(self._event.body)
        return self._field(name)

    def _json(self) -> Any:
        if not self._parsed:
            self._parsed = True
            try:
                self._tree = self._event.json()
            except ValueError:
                self._tree = None
        return self._tree

    def _field(self, name: str) -> str | None:
        wanted = name.encode()
        values = [value for key, value in form_fields(self._event.body) or () if key == wanted]
        return values[0].decode(errors="replace") if values else None


def is_final(final: Final, answer: Answer) -> bool:
    """Return whether the object may be used; one whose JSON cannot be read may not."""
    try:
        found = as_text(_walk(answer.json(), parse_path(final.path)))
    except ValueError:
        return False
    return found in final.values


def _walk(tree: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        if isinstance(step, str):
            tree = tree.get(step) if isinstance(tree, dict) else None
        else:
            tree = tree[step] if isinstance(tree, list) and step < len(tree) else None
    return tree


def _filled(template: str, values: Values) -> str | None:
    """Return the URL, None where the event lacks a value for it."""
    whole = _PLACEHOLDER.fullmatch(template)
    if whole is not None:
        return values.text(whole[1])
    found = {text: values.text(text) for text in _PLACEHOLDER.findall(template)}
    if not all(found.values()):
        return None
    return _PLACEHOLDER.sub(lambda place: quote(found[place[1]] or "", safe=""), template)


def _is_plain(url: str, parts: SplitResult) -> bool:
    plain = url.isascii() and url.isprintable() and not set(url) & set(" \\#")
    # A segment of dots would lead out of the place that a template gives a value, however it is written.
    return plain and not {".", ".."} & set(unquote(parts.path).split("/"))


def _credential(send: str, credential: str) -> Mapping[str, str]:
    if not (credential.isascii() and credential.isprintable()):
        raise ValueError("credential: holds what no header can")
    if send == "bearer":
        return {"authorization": f"Bearer {credential}"}
    if send == "basic":
        pair = credential if ":" in credential else f"{credential}:"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    kind, _, name = send.partition(":")
    if kind != "header" or not _HEADER.fullmatch(name):
        raise ValueError('send: must be "bearer", "basic" or "header:NAME"')
    return {name.lower(): credential}


def _check_template(url: str, *, private: bool) -> None:
    if not url.startswith(("/", "https://", "{", "http://")):
        raise ValueError("object: must be a path that begins with /, or a URL")
    if url.startswith("http://") and not private:
        raise ValueError("object: would send the credential unencrypted; write https://, or set private: true")
    for text in _PLACEHOLDER.findall(url):
        _check_expression(text)


def _check_expression(text: str) -> None:
    for term in (term for join in parse_expression(text) for term in join):
        if term.kind not in _KINDS:
            raise ValueError(f"object: {term.kind}: cannot be read of a stored event")
