"""The configuration in effect, key by key, each with where its value comes from. Secrets are masked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.config.load import Loaded
from gateway.config.model import LogSection, RouterSection, ServerSection, SourceSection, StoreSection
from gateway.config.problems import KeyPath, key_text
from gateway.config.sources import ReadSource
from gateway.config.values import duration_text, size_text
from gateway.core.source import Source

MASK = "***"
DEFAULT = "default"
PROVIDER = "provider's default"

_APART = ("tls", "secrets", "scheme", "event")
_BY_PROVIDER = ("dedupe_window", "max_body", "deadline")


@dataclass(frozen=True, slots=True)
class Shown:
    """One value: its key, as it is written, and where: `FILE:LINE`, `env NAME`, `file`, or a default."""

    key: str
    value: Any
    origin: str


def effective(loaded: Loaded) -> Iterator[Shown]:
    """Return every value in effect, in the order of the sections."""
    for name, model in (("server", ServerSection), ("log", LogSection), ("store", StoreSection)):
        yield from _section(loaded, (name,), model)
    yield from _written(loaded, ("server", "tls"))
    for source in loaded.sources.values():
        yield from _source(loaded, source)
    for router in loaded.settings.routers:
        yield from _section(loaded, ("routers", router.name), RouterSection)


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
    for key in ("scheme", "event"):
        yield from _written(loaded, (*path, key))


def _by_provider(source: Source | None, key: str) -> str | None:
    if source is None or key not in _BY_PROVIDER:
        return None
    value = getattr(source, key)
    return size_text(value) if key == "max_body" else duration_text(value)


def _section(loaded: Loaded, path: KeyPath, model: type[BaseModel]) -> Iterator[Shown]:
    written = _at(loaded.resolved.tree, path) or {}
    for key, field in model.model_fields.items():
        if key in _APART:
            continue
        if written.get(key) is not None:
            yield Shown(key_text((*path, key)), written[key], _origin(loaded, (*path, key)))
        else:
            yield Shown(key_text((*path, key)), field.get_default(call_default_factory=True), DEFAULT)


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
