"""Wise: RSA over the raw body, under the public key of its documentation."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.core.admission import Events, Rejected
from gateway.providers.wise import WISE
from tests.admitting import delivered, request, rsa_pem
from tests.provider_shape import Known, ProviderShape

_OTHER = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
# As its documentation shows it.
PRODUCTION = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvO8vXV+JksBzZAY6GhSO
XdoTCfhXaaiZ+qAbtaDBiu2AGkGVpmEygFmWP4Li9m5+Ni85BhVvZOodM9epgW3F
bA5Q1SexvAF1PPjX4JpMstak/QhAgl1qMSqEevL8cmUeTgcMuVWCJmlge9h7B1CS
D4rtlimGZozG39rUBDg6Qt2K+P4wBfLblL0k4C4YUdLnpGYEDIth+i8XsRpFlogx
CAFyH9+knYsDbR43UJ9shtc42Ybd40Afihj8KnYKXzchyQ42aC8aZ/h5hyZ28yVy
Oj3Vos0VdBIs/gAyJ/4yyQFCXYte64I7ssrlbGRaco4nKF3HmaNhxwyKyJafz19e
HwIDAQAB
-----END PUBLIC KEY-----"""
EVENT = (
    b'{"data":{"resource":{"type":"transfer","id":111,"profile_id":222,"account_id":333},"current_state":"processing",'
    b'"previous_state":"incoming_payment_waiting","occurred_at":"2020-01-01T12:34:56Z"},'
    b'"subscription_id":"01234567-89ab-cdef-0123-456789abcdef","event_type":"transfers#state-change",'
    b'"schema_version":"2.0.0","sent_at":"2020-01-01T12:35:06Z"}'
)


class TestWise(ProviderShape):
    provider = WISE
    secret = rsa_pem()
    other = _OTHER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
    known = (
        Known(EVENT, "7f7a3b", "transfers#state-change", 1_577_882_096_000_000, "111",
              headers={"x-delivery-id": "7f7a3b"}),
    )  # fmt: skip

    def test_the_public_key_verifies_and_cannot_sign(self) -> None:
        public = load_pem_private_key(rsa_pem().encode(), None).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
        target = self.source(pem)

        assert target.sign is None
        assert isinstance(target.admit(delivered(self.genuine()), self.at_us), Events)

    def test_the_published_key_is_taken_as_it_is_shown(self) -> None:
        refused = self.source(PRODUCTION).admit(delivered(self.genuine()), self.at_us)

        assert refused == Rejected("signature_mismatch")

    @pytest.mark.parametrize("signature", ["AAAA", "not base64", "=" * 344])
    def test_a_text_that_is_no_signature_is_refused_as_such(self, signature: str) -> None:
        refused = self.source().admit(request(EVENT, {"x-signature-sha256": signature}), self.at_us)

        assert refused == Rejected("signature_malformed")
