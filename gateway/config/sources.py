"""The sources of a configuration: their provider, secrets and options, compiled once so that every mistake shows."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway.config import secret_values
from gateway.config.contracts import read_require
from gateway.config.fetching import read_fetch
from gateway.config.installed import PROVIDERS
from gateway.config.model import ServerSection, SourceSection
from gateway.config.problems import KeyPath, did_you_mean
from gateway.config.report import Report
from gateway.config.secret_values import Found
from gateway.config.sections import section_of
from gateway.config.settings import QuarantineSettings, SourceSettings
from gateway.core.compile import compile_source, dedupe_window
from gateway.core.provider import Provider
from gateway.core.requirement import Requirement
from gateway.core.source import Source, SourceOptions
from gateway.providers.custom import SchemeError, provider_from

CUSTOM = "custom"

_QUOTED = re.compile(r"(?<!did you mean )'([^']+)'")


@dataclass(frozen=True, slots=True)
class ReadSource:
    """A source as configured, where its secrets came from, compiled if all of it is there, and its dedupe window."""

    settings: SourceSettings
    found: tuple[Found, ...]
    compiled: Source | None
    window: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Where secrets come from, whether they must all be there, and which sources lack a setting that need not be."""

    environ: Mapping[str, str]
    secrets: bool
    incomplete: frozenset[str] = frozenset()


def read_source(
    name: str, raw: object, server: ServerSection | None, report: Report, reading: Reading
) -> ReadSource | None:
    """Read one source, reporting all that is wrong with it; None if too little of it is right."""
    path: KeyPath = ("sources", name)
    before = len(report.problems)
    listed = raw.get("secrets") if isinstance(raw, dict) else None
    found = secret_values.find(listed, (*path, "secrets"), report, reading.environ, required=reading.secrets)
    section = section_of(SourceSection, raw, path, report, stand_in={"secrets": [{"dev": "-"}]})
    if section is None:
        return None
    provider = _provider(section, path, report)
    settings = replace(
        _settings(name, section, found, server),
        require=_require(section, provider, path, report),
        fetch=read_fetch(section.fetch, provider, (*path, "fetch"), report),
    )
    compiled = None
    complete = len(found) == len(section.secrets) and name not in reading.incomplete
    if provider is not None and complete and len(report.problems) == before:
        compiled = _compile(provider, settings, path, report)
    window = section.dedupe_window
    if window is None:
        window = 0.0 if provider is None else dedupe_window(provider)
    if provider is not None and section.quarantine is not None and section.quarantine.max_age > window:
        # A retry that came in its place would be forgotten when it is readmitted.
        message = "is longer than dedupe_window, so that an event could be stored twice"
        report.add((*path, "quarantine", "max_age"), message, "keep deliveries no longer than ids")
    return ReadSource(settings, found, compiled, window)


def _require(
    section: SourceSection, provider: Provider | None, path: KeyPath, report: Report
) -> tuple[Requirement, ...]:
    if section.require is None or provider is None:
        return ()
    contexts = (name for shape in provider.shapes for name in shape.context)
    headers = (*provider.keep_headers, *contexts, *section.keep_headers)
    return read_require(section.require, (*path, "require"), report, provider=section.provider, headers=headers)


def _provider(section: SourceSection, path: KeyPath, report: Report) -> Provider | None:
    if section.provider == CUSTOM:
        return _custom(section, path, report)
    for key in ("scheme", "event"):
        if getattr(section, key) is not None:
            report.add((*path, key), "is for provider custom alone", "remove it", at_key=True)
    if section.provider not in PROVIDERS:
        remedy = did_you_mean(section.provider, (*PROVIDERS, CUSTOM))
        report.add((*path, "provider"), "unknown provider", remedy)
    return PROVIDERS.get(section.provider)


def _custom(section: SourceSection, path: KeyPath, report: Report) -> Provider | None:
    if section.scheme is None:
        report.add(path, "scheme is missing", "provider custom needs one; see docs/configuration.md", at_key=True)
        return None
    try:
        return provider_from(section.scheme, section.event or {})
    except SchemeError as error:
        message, _, remedy = _unquoted(error.message, (section.scheme, section.event)).partition("; ")
        report.add((*path, *error.path), message, remedy, at_key=_names_a_key(report, (*path, *error.path)))
        return None


def _unquoted(message: str, values: object) -> str:
    """Replace what `message` quotes of the configured values: it may be a secret in the wrong place."""
    texts = list(_texts(values))

    def shown(quoted: re.Match[str]) -> str:
        return "this" if any(quoted[1] in text for text in texts) else quoted[0]

    return _QUOTED.sub(shown, message)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _texts(value)
    elif isinstance(values, Iterable):
        for value in values:
            yield from _texts(value)


def _names_a_key(report: Report, path: KeyPath) -> bool:
    return path not in report.document.values


def _settings(
    name: str, section: SourceSection, found: tuple[Found, ...], server: ServerSection | None
) -> SourceSettings:
    return SourceSettings(
        name=name,
        provider=section.provider,
        secrets=tuple(item.secret for item in found),
        options=_options(name, section, server),
        scheme=section.scheme or {},
        event=section.event or {},
        quarantine=None
        if section.quarantine is None
        else QuarantineSettings(max_bytes=section.quarantine.max_bytes, max_age=section.quarantine.max_age),
    )


def _options(name: str, section: SourceSection, server: ServerSection | None) -> SourceOptions:
    below = f"{server.public_url}/webhooks/{name}" if server is not None and server.public_url else None
    return SourceOptions(
        public_url=section.public_url or below,
        tolerance=section.tolerance,
        dedupe_window=section.dedupe_window,
        max_body=section.max_body,
        deadline=section.deadline,
        rate=section.rate,
        order_by=section.order_by,
        on_conflict=section.on_conflict,
        on_replay=section.on_replay,
        allow_ips=tuple(section.allow_ips),
        content_types=tuple(kind.lower() for kind in section.content_types),
        keep_headers=tuple(section.keep_headers),
        allow_unverified=section.allow_unverified,
        values={key: (value,) if isinstance(value, str) else tuple(value) for key, value in section.settings.items()},
    )


def _compile(provider: Provider, settings: SourceSettings, path: KeyPath, report: Report) -> Source | None:
    try:
        return compile_source(provider, name=settings.name, secrets=settings.secrets, options=settings.options)
    except ValueError as error:
        told = _unquoted(str(error), (settings.options.order_by, settings.options.keep_headers))
        culprit, text = _culprit(told, settings, path, report)
        message, _, remedy = text.partition("; ")
        report.add(culprit, message, remedy)
        return None


def _culprit(text: str, settings: SourceSettings, path: KeyPath, report: Report) -> tuple[KeyPath, str]:
    """Return the key that the message is about, and the message without its name."""
    option, colon, rest = text.partition(": ")
    for place in ((*path, *option.split(".")), (*path, option.partition(".")[0])):
        if colon and place in report.document.values:
            return place, rest if place[-1] == option.rpartition(".")[2] else text
    for index, secret in enumerate(settings.secrets):
        if f"secret {secret.label!r}" in text:
            return (*path, "secrets", index), text
    return path, text
