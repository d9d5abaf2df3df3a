"""Key pairs for schemes that a public key verifies: as PEM, so that tests can sign as the provider does."""

import base64

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


def _pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def other_p256() -> str:
    return _pem(generate_private_key(SECP256R1()))


def other_ed25519() -> str:
    return _pem(Ed25519PrivateKey.generate())


P256 = other_p256()
ED25519 = other_ed25519()


def p256_spki(pem: str) -> str:
    """Return the public half as SendGrid shows it: base64 of its DER."""
    key = load_pem_private_key(pem.encode(), None).public_key()
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def ed25519_raw(pem: str) -> bytes:
    """Return the 32 bytes of the public half."""
    key = load_pem_private_key(pem.encode(), None).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
