"""The providers that a source can name, each in the module of its name. `custom` is made from the configuration.

A provider's module is imported when its name is first looked up: a source costs nothing for those it does not use.
"""

import importlib
from collections.abc import Iterator, Mapping

from gateway.core.provider import Provider

NAMES = (
    "github",
    "gitlab",
    "shopify",
    "slack",
    "standard_webhooks",
    "stripe",
    "svix",
    "twilio",
)


class _Providers(Mapping[str, Provider]):
    """The providers by name, in the order of their names."""

    def __getitem__(self, name: str) -> Provider:
        if name not in NAMES:
            raise KeyError(name)
        found = getattr(importlib.import_module(f"gateway.providers.{name}"), name.upper())
        assert isinstance(found, Provider)  # noqa: S101 - the table above is ours
        return found

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


PROVIDERS: Mapping[str, Provider] = _Providers()


def get(name: str) -> Provider:
    """Return the provider of that name.

    Raises:
        KeyError: there is none.
    """
    return PROVIDERS[name]
