"""Stripe: `t.body` under `v1`, ids in the signed body."""

from gateway.providers.stripe import STRIPE
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "object": "event", "api_version": "2019-02-19", "created": 1686089970, '
    b'"data": {"object": {"id": "seti_1NG8Du2eZvKYlo2C9XMqbR0x", "object": "setup_intent"}}, '
    b'"type": "setup_intent.created"}'
)
THIN = (
    b'{"id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0", "object": "v2.core.event", '
    b'"type": "v1.billing.meter.error_report_triggered", "created": "2024-09-17T06:20:52.246Z", '
    b'"related_object": {"id": "mtr_test_61RM8ltWcTW4mbsxf16RJyfa2xSQLHJ", "type": "billing.meter"}}'
)


class TestStripe(ProviderShape):
    provider = STRIPE
    covers = frozenset({"body"})
    known = (
        Known(EVENT, "evt_1NG8Du2eZvKYlo2CUI79vXWy", "setup_intent.created", 1_686_089_970_000_000,
              "seti_1NG8Du2eZvKYlo2C9XMqbR0x", name="snapshot"),
        Known(THIN, "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
              "v1.billing.meter.error_report_triggered", 1_726_554_052_246_000,
              "mtr_test_61RM8ltWcTW4mbsxf16RJyfa2xSQLHJ", name="thin"),
    )  # fmt: skip
