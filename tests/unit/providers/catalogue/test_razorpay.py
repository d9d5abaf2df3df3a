"""Razorpay: the raw body signed, the event's id in a header."""

from gateway.providers.razorpay import RAZORPAY
from tests.provider_shape import Known, ProviderShape

PAYMENT = (
    b'{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"payment.authorized","contains":["payment"],"payload":'
    b'{"payment":{"entity":{"id":"pay_DESlfW9H8K9uqM","entity":"payment","amount":100,"currency":"INR","status":'
    b'"authorized","order_id":"order_DESlLckIVRkHWj"}}},"created_at":1567674606}'
)
REFUND = (
    b'{"entity":"event","account_id":"acc_BFQ7uQEaa7j2z7","event":"refund.created","contains":["refund"],"payload":'
    b'{"refund":{"entity":{"id":"rfnd_EtEYyP7OMFjPDU","payment_id":"pay_DESlfW9H8K9uqM"}}},"created_at":1590000000}'
)


class TestRazorpay(ProviderShape):
    provider = RAZORPAY
    known = (
        Known(PAYMENT, "Gb5kMCdcAZ8jJ8", "payment.authorized", 1_567_674_606_000_000, "order_DESlLckIVRkHWj",
              headers={"x-razorpay-event-id": "Gb5kMCdcAZ8jJ8"}, name="payment"),
        Known(REFUND, None, "refund.created", 1_590_000_000_000_000, "pay_DESlfW9H8K9uqM", name="without an id"),
    )  # fmt: skip
