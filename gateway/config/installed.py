"""Every provider that a source can name: the gateway's own, and those of installed packages.

A package adds one by an entry point of the group `gateway.providers`: its name is the provider's, its value the
`gateway.core.provider.Provider`. A name of the gateway's own cannot be taken.
"""

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from functools import cache

from gateway import providers
from gateway.config.settings import SourceSettings
from gateway.core.errors import PluginError
from gateway.core.provider import Provider
from gateway.providers.custom import provider_from

ENTRY_POINTS = "gateway.providers"
CUSTOM = "custom"

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")


class _Installed(Mapping[str, Provider]):
    def __getitem__(self, name: str) -> Provider:
        if name in providers.PROVIDERS:
            return providers.PROVIDERS[name]
        if name not in _points():
            raise KeyError(name)
        return _loaded(name)

    def __contains__(self, name: object) -> bool:
        return name in providers.PROVIDERS or name in _points()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*providers.PROVIDERS, *_points()]))

    def __len__(self) -> int:
        return len(providers.PROVIDERS) + len(_points())


PROVIDERS: Mapping[str, Provider] = _Installed()
"""The providers by name. Looking up one of a package raises `PluginError` if it cannot be loaded."""


def provider_of(settings: SourceSettings) -> Provider:
    """Return the provider that a source names, or the one that its configuration makes."""
    custom = settings.provider == CUSTOM
    return provider_from(settings.scheme, settings.event) if custom else PROVIDERS[settings.provider]


@cache
def _points() -> Mapping[str, importlib.metadata.EntryPoint]:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    taken = {*providers.PROVIDERS, CUSTOM}
    return {point.name: point for point in points if point.name not in taken and _NAME.fullmatch(point.name)}


@cache
def _loaded(name: str) -> Provider:
    point = _points()[name]
    try:
        found = point.load()
    except Exception as error:  # whatever a plugin does while it is imported, it is the plugin's mistake
        raise PluginError(f"provider {name}: loading {point.value} failed with {type(error).__name__}") from error
    if not isinstance(found, Provider):
        raise PluginError(f"provider {name}: {point.value} is a {type(found).__name__}, not a Provider")
    if found.name != name:
        raise PluginError(f"provider {name}: {point.value} calls itself {found.name!r}; give both the same name")
    return found
