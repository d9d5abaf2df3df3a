"""The providers that a source can name. `custom` is not among them: it is made from the configuration."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.core.provider import Provider
from gateway.providers.github import GITHUB
from gateway.providers.gitlab import GITLAB
from gateway.providers.shopify import SHOPIFY
from gateway.providers.slack import SLACK
from gateway.providers.standard_webhooks import STANDARD_WEBHOOKS, SVIX
from gateway.providers.stripe import STRIPE
from gateway.providers.twilio import TWILIO

_ALL = (GITHUB, GITLAB, SHOPIFY, SLACK, STANDARD_WEBHOOKS, STRIPE, SVIX, TWILIO)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.name: provider for provider in _ALL})


def get(name: str) -> Provider:
    """Return the provider of that name.

    Raises:
        KeyError: there is none.
    """
    return PROVIDERS[name]
