"""The configuration in effect, key by key, each with where its value comes from. Secrets are masked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.config.conninfo import is_secret, parts_of
from gateway.config.engines import LOGS, STORES
from gateway.config.installed import PROVIDERS
from gateway.config.load import Loaded
from gateway.config.model import (
    DedupeSection,
    FetchSection,
    FinalSection,
    OAuthSection,
    QuarantineSection,
    RouterSection,
    SecuritySection,
    ServerSection,
    SourceSection,
    TopicsSection,
)
from gateway.config.problems import KeyPath, key_text
from gateway.config.references import CREDENTIALS, DSN, general
from gateway.config.sources import ReadSource
from gateway.config.values import duration_text, size_text
from gateway.core.source import Source

MASK = "***"
DEFAULT = "default"
PROVIDER = "provider's default"

_APART = ("secrets", "scheme", "event", "settings", "require")
_TLS: KeyPath = ("server", "tls")
_FETCH_HEADERS: KeyPath = ("fetch", "headers")
_BY_PROVIDER = ("dedupe_window", "max_body", "deadline")
_NESTED: Mapping[str, type[BaseModel]] = {
    "security": SecuritySection,
    "oauth": OAuthSection,
    "topics": TopicsSection,
    "dedupe": DedupeSection,
    "fetch": FetchSection,
    "quarantine": QuarantineSection,
    "final": FinalSection,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One value: its key, as it is written, and where: `FILE:LINE`, `env NAME`, `file`, or a default."""

    key: str
    value: Any
    origin: str


def effective(loaded: Loaded) -> Iterator[Shown]:
    """Return every value in effect, in the order of the sections."""
    settings = loaded.settings
    yield from _section(loaded, ("server",), ServerSection)
    yield from _log(loaded)
    yield from _section(loaded, ("store",), STORES[settings.store.engine])
    yield from _written(loaded, _TLS)
    for source in loaded.sources.values():
        yield from _source(loaded, source)
    for router in settings.routers:
        yield from _section(loaded, ("routers", router.name), RouterSection)


def _log(loaded: Loaded) -> Iterator[Shown]:
    log = loaded.settings.log
    without_spool = log.kafka is not None and log.kafka.spool is None
    for shown in _section(loaded, ("log",), LOGS[log.engine]):
        if not (without_spool and shown.key in ("log.max_bytes", "log.min_free")):  # they are for the spool's disk
            yield shown


def _source(loaded: Loaded, source: ReadSource) -> Iterator[Shown]:
    path = ("sources", source.settings.name)
    for shown in _section(loaded, path, SourceSection):
        key = shown.key.rpartition(".")[2]
        if shown.origin == DEFAULT and shown.value is None:
            yield Shown(shown.key, _by_provider(source.compiled, key), PROVIDER)
        else:
            yield shown
    for found in source.found:
        yield Shown(f"{key_text(found.path)} ({found.secret.label})", MASK, found.origin)
    for key, value in source.settings.options.values.items():
        place = (*path, "settings", key)
        shown_value = MASK if _is_secret(source.settings.provider, key) else ", ".join(value)
        yield Shown(key_text(place), shown_value, _origin(loaded, place))
    for key in ("scheme", "event", "require"):
        yield from _written(loaded, (*path, key))


def _is_secret(provider: str, setting: str) -> bool:
    known = PROVIDERS.get(provider)
    return known is None or setting not in known.settings or known.settings[setting].secret


def _by_provider(source: Source | None, key: str) -> str | None:
    if source is None or key not in _BY_PROVIDER:
        return None
    value = getattr(source, key)
    return size_text(value) if key == "max_body" else duration_text(value)


def _section(loaded: Loaded, path: KeyPath, model: type[BaseModel]) -> Iterator[Shown]:
    written = _at(loaded.resolved.tree, path) or {}
    for key, field in model.model_fields.items():
        place = (*path, key)
        default = field.get_default(call_default_factory=True)
        if key in _NESTED and (key in written or default is not None):
            yield from _section(loaded, place, _NESTED[key])
        elif key in _APART or place == _TLS or place in loaded.resolved.unread:
            continue
        elif written.get(key) is not None:
            yield Shown(key_text(place), _masked(place, written[key]), _origin(loaded, place))
        else:
            yield Shown(key_text(place), _by_sources(loaded, place, default), DEFAULT)


def _by_sources(loaded: Loaded, place: KeyPath, default: Any) -> Any:
    """Return a default, which for marks depends on the sources."""
    return duration_text(loaded.settings.store.marks) if place == ("store", "marks") else default


def _masked(path: KeyPath, value: Any) -> Any:
    if path == DSN:
        parts = parts_of(value) or {}
        return " ".join(f"{key}={MASK if is_secret(key) else part}" for key, part in parts.items()) or MASK
    if path[2:] == _FETCH_HEADERS:
        return dict.fromkeys(value, MASK)  # an API's key may stand in one as well
    return MASK if general(path) in CREDENTIALS else value


def _written(loaded: Loaded, path: KeyPath) -> Iterator[Shown]:
    value = _at(loaded.resolved.tree, path)
    if isinstance(value, dict):
        for key in value:
            yield from _written(loaded, (*path, key))
    elif value is not None:
        yield Shown(key_text(path), value, _origin(loaded, path))


def _at(tree: Any, path: KeyPath) -> Any:
    for part in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(part)
    return tree


def _origin(loaded: Loaded, path: KeyPath) -> str:
    if path in loaded.resolved.origins:
        return loaded.resolved.origins[path]
    return f"{loaded.document.file}:{loaded.document.value_mark(path).line}"
