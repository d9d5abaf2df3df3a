"""The configured sources, compiled, and what of them may go where."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.config.settings import Settings, SourceSettings
from gateway.core.compile import compile_source
from gateway.core.source import Source
from gateway.providers import PROVIDERS
from gateway.providers.custom import provider_from


def sources(settings: Settings) -> Mapping[str, Source]:
    """Compile every configured source; `config.load` has found their mistakes before."""
    return {source.name: _source(source) for source in settings.sources}


def _source(settings: SourceSettings) -> Source:
    custom = settings.provider == "custom"
    provider = provider_from(settings.scheme, settings.event) if custom else PROVIDERS[settings.provider]
    return compile_source(provider, name=settings.name, secrets=settings.secrets, options=settings.options)


def without_secrets(settings: Settings) -> Settings:
    """Return the settings as a worker gets them: handlers have no use for what the edge verifies with."""
    return replace(settings, sources=tuple(replace(source, secrets=()) for source in settings.sources))
