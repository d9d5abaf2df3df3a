"""The configured sources, compiled, and what of them may go where."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.config.installed import provider_of
from gateway.config.settings import Settings, SourceSettings
from gateway.core.compile import compile_source
from gateway.core.diagnosis import Suspect
from gateway.core.source import Secret, Source
from gateway.receive.paired import LABEL, read_secret


def sources(settings: Settings) -> Mapping[str, Source]:
    """Compile every configured source; `config.load` has found their mistakes before."""
    return {source.name: compiled(source) for source in settings.sources}


def recompiled(settings: Settings, name: str, secrets: tuple[Secret, ...]) -> Source:
    """Compile a source with secrets that came at run time beside its configured ones.

    Raises:
        ValueError: one of them does not fit.
    """
    chosen = _named(settings, name)
    return compiled(replace(chosen, secrets=_with(chosen, secrets)))


def suspect_of(settings: Settings, name: str, late: Mapping[str, tuple[Secret, ...]]) -> Suspect:
    """Return what may explain a source's refusals, with the secrets that came at run time, by source."""
    chosen = _named(settings, name)
    others = [each for each in settings.sources if each.provider == chosen.provider and each.name != name]
    return Suspect(
        provider=provider_of(chosen),
        name=name,
        secrets=_with(chosen, late.get(name, ())),
        options=chosen.options,
        others={each.name: _with(each, late.get(each.name, ())) for each in others},
    )


def paired(settings: Settings) -> dict[str, tuple[Secret, ...]]:
    """Return the secrets that providers sent at run time, by source, as far as they can be read."""
    found: dict[str, tuple[Secret, ...]] = {}
    for source in settings.sources:
        with contextlib.suppress(OSError, ValueError):
            secret = read_secret(settings.log.path, source.name)
            found |= {} if secret is None else {source.name: (Secret(LABEL, secret),)}
    return found


def _named(settings: Settings, name: str) -> SourceSettings:
    (chosen,) = (source for source in settings.sources if source.name == name)
    return chosen


def _with(source: SourceSettings, late: Sequence[Secret]) -> tuple[Secret, ...]:
    known = {secret.text for secret in source.secrets}
    return (*source.secrets, *(secret for secret in late if secret.text not in known))


def compiled(settings: SourceSettings) -> Source:
    """Compile one source."""
    provider = provider_of(settings)
    return compile_source(provider, name=settings.name, secrets=settings.secrets, options=settings.options)


def without_secrets(settings: Settings) -> Settings:
    """Return the settings as a worker gets them: handlers have no use for what the edge verifies with."""
    stripped = (replace(source, secrets=(), options=replace(source.options, values={})) for source in settings.sources)
    return replace(settings, sources=tuple(stripped))
