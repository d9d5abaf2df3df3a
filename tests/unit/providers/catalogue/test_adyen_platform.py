"""Adyen for Platforms: the raw body under a hexadecimal key."""

from gateway.providers.adyen_platform import ADYEN_PLATFORM
from tests.admitting import HEX
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"data": {"balancePlatform": "YOUR_BALANCE_PLATFORM", "accountHolder": {"id": "AH3227C223222C5GKR23686TF", '
    b'"status": "closed"}}, "environment": "test", "timestamp": "2024-04-11T17:43:51+02:00", '
    b'"type": "balancePlatform.accountHolder.updated"}'
)


class TestAdyenPlatform(ProviderShape):
    provider = ADYEN_PLATFORM
    secret = HEX
    other = HEX.replace("4", "5")
    known = (
        Known(EVENT, None, "balancePlatform.accountHolder.updated", 1_712_850_231_000_000,
              "AH3227C223222C5GKR23686TF"),
    )  # fmt: skip
