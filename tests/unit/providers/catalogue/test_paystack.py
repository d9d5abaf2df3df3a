"""Paystack: SHA-512 over the raw body."""

from gateway.providers.paystack import PAYSTACK
from tests.provider_shape import Known, ProviderShape

CHARGE = (
    b'{"event":"charge.success","data":{"id":302961,"domain":"live","status":"success","reference":"qTPrJoy9Bx",'
    b'"amount":10000,"paid_at":"2016-09-30T21:10:19.000Z","created_at":"2016-09-30T21:09:56.000Z","currency":"NGN"}}'
)
SUBSCRIPTION = (
    b'{"event":"subscription.create","data":{"domain":"test","status":"active","subscription_code":'
    b'"SUB_vsyqdmlzble3uii","created_at":"2016-03-20T00:23:24.000Z"}}'
)


class TestPaystack(ProviderShape):
    provider = PAYSTACK
    known = (
        Known(CHARGE, None, "charge.success", 1_475_269_819_000_000, "qTPrJoy9Bx", name="charge"),
        Known(SUBSCRIPTION, None, "subscription.create", 1_458_433_404_000_000, "SUB_vsyqdmlzble3uii",
              name="subscription"),
    )  # fmt: skip
