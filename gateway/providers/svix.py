"""Svix: Standard Webhooks under headers of its own, which come first."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.providers.standard_webhooks import STANDARD_WEBHOOKS, scheme


def _without_svix(headers: Mapping[bytes, bytes]) -> bool:
    return b"webhook-signature" in headers and b"svix-signature" not in headers


SVIX = replace(
    STANDARD_WEBHOOKS,
    name="svix",
    title="Svix",
    schemes=(scheme("webhook", when=_without_svix), scheme("svix")),
    docs="https://docs.svix.com/receiving/verifying-payloads/how",
)
