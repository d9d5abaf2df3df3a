"""The secrets of a source: from the environment, from files, or for development only from the configuration itself.

And every secret of a configuration together, for what may hold none of them.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

from pydantic import ValidationError

from gateway.config.conninfo import is_secret, parts_of
from gateway.config.installed import PROVIDERS
from gateway.config.model import SecretSection
from gateway.config.problems import KeyPath
from gateway.config.references import from_environment, from_file
from gateway.config.report import Report, Unread
from gateway.config.settings import Settings
from gateway.core.source import Secret

DEV_LABEL = "dev"
_RESERVED = ("paired",)

_UNFIT_FOR_LABEL = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Found:
    """A secret, its place in the configuration, and where it came from: `env NAME`, `file`, or `FILE:LINE`."""

    secret: Secret
    path: KeyPath
    origin: str
    dev: bool = False


def find(
    raw: object, path: KeyPath, report: Report, environ: Mapping[str, str], *, required: bool
) -> tuple[Found, ...]:
    """Return a source's secrets in order; report what is wrong with them.

    Items of the wrong form are passed over: the model reports them. Unless `required`, a variable that is not set and
    a file that cannot be read are passed over in silence, for commands that need no secret.
    """
    found = tuple(_each(raw, path, report, environ, required=required))
    labels: set[str] = set()
    for item in found:
        if item.secret.label in labels:
            report.add(item.path, "has the label of another secret of this source", "give each a label of its own")
        elif item.secret.label == DEV_LABEL and not item.dev:
            report.add(item.path, 'may not be labelled "dev"', "choose another label")
        elif item.secret.label in _RESERVED:
            report.add(item.path, "has the label of secrets that come at run time", "choose another label")
        labels.add(item.secret.label)
    return found


def _each(raw: object, path: KeyPath, report: Report, environ: Mapping[str, str], *, required: bool) -> Iterator[Found]:
    for index, item in enumerate(raw if isinstance(raw, list) else ()):
        place = (*path, index)
        try:
            section = SecretSection.model_validate(item)
        except ValidationError:
            continue
        if misuse := _misuse(section):
            report.add(place, *misuse)
            continue
        try:
            yield _read(section, place, report, environ)
        except Unread as reason:
            if required:
                report.add(place, str(reason), reason.remedy)


def _misuse(section: SecretSection) -> tuple[str, str] | None:
    if section.env is not None and section.file is not None:
        return "has both env and file", "list them as two secrets"
    if section.env is None and section.file is None and section.dev is None:
        return "names no secret", "write {env: NAME} or {file: PATH}"
    return None


def _read(section: SecretSection, path: KeyPath, report: Report, environ: Mapping[str, str]) -> Found:
    try:
        named = _named(section, environ)
    except Unread:
        if section.dev is None:
            raise
        named = None
    if named is None:
        text = section.dev or ""  # `_misuse` made sure that there is one
        return Found(Secret(DEV_LABEL, text), path, report.place((*path, "dev")), dev=True)
    text, name, origin = named
    return Found(Secret(section.label or _UNFIT_FOR_LABEL.sub("_", name)[:63], text), path, origin)


def _named(section: SecretSection, environ: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return the text, a name to label it by, and its origin; None if it is for development alone."""
    if section.env is not None:
        return from_environment(section.env, environ), section.env, f"env {section.env}"
    if section.file is not None:
        return from_file(section.file), Path(section.file).name, "file"
    return None


def secret_values(settings: Settings) -> frozenset[str]:
    """Return every secret of the configuration, in each form in which it may be met: what no log line may hold."""
    found = {secret.text for source in settings.sources for secret in source.secrets}
    for source in settings.sources:
        known = PROVIDERS[source.provider].settings if source.provider in PROVIDERS else {}
        for name, texts in source.options.values.items():
            if name in known and known[name].secret:
                found.update(form for text in texts for form in _forms(text))
        if source.fetch is not None:
            credential = source.fetch.credential
            found |= _forms(credential) | {b64encode(f"{credential}{end}".encode()).decode() for end in ("", ":")}
    if settings.log.kafka is not None:
        security = settings.log.kafka.security
        found |= _forms(security.password) | _forms(security.oauth.client_secret if security.oauth else None)
    if settings.store.dsn:
        found.add(settings.store.dsn)
        for name, value in (parts_of(settings.store.dsn) or {}).items():
            found |= _forms(value) if is_secret(name) else set()
    return frozenset(found)


def _forms(text: str | None) -> set[str]:
    return {text, quote(text, safe=""), quote_plus(text)} if text else set()
