"""Checkout.com: the raw body signed, its time under either of two names."""

from gateway.providers.checkout_com import CHECKOUT_COM
from tests.provider_shape import Known, ProviderShape

APPROVED = (
    b'{"id":"evt_caxmnvuvbe4elkbdx2imwbnjxu","type":"payment_approved","version":"1.0.29","created_on":'
    b'"2023-05-22T11:56:04.8821546Z","data":{"id":"pay_griq7wyqkggu7mnk7ecm6ysrl4","amount":20,"currency":"USD"}}'
)
DISPUTE = (
    b'{"id":"evt_dispute","type":"dispute_received","version":"1.0.29","timestamp":"2023-05-22T11:56:04Z",'
    b'"data":{"id":"dsp_1","payment_id":"pay_1"}}'
)


class TestCheckoutCom(ProviderShape):
    provider = CHECKOUT_COM
    known = (
        Known(APPROVED, "evt_caxmnvuvbe4elkbdx2imwbnjxu", "payment_approved", 1_684_756_564_882_154,
              "pay_griq7wyqkggu7mnk7ecm6ysrl4", name="payment"),
        Known(DISPUTE, "evt_dispute", "dispute_received", 1_684_756_564_000_000, "pay_1", name="dispute"),
    )  # fmt: skip
