"""Keys of providers that only they hold: made once, with the documents that they would publish."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.admitting import NOW

KID = "key-1"


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    """Return the key of that name, made at its first use."""
    assert name
    return generate_private_key(public_exponent=65_537, key_size=2_048)


def keyset(name: str = "provider", kid: str = KID) -> bytes:
    """Return the key set that holds the key."""
    numbers = rsa_key(name).public_key().public_numbers()
    jwk = {"kty": "RSA", "use": "sig", "kid": kid, "n": _base64url(numbers.n), "e": _base64url(numbers.e)}
    return json.dumps({"keys": [jwk]}).encode()


def token(claims: Mapping[str, object], *, name: str = "provider", kid: str = KID) -> str:
    """Return a token that the key signed (RS256), by the library that most receivers use."""
    return jwt.encode(dict(claims), rsa_key(name), algorithm="RS256", headers={"kid": kid})


def certificate(common_name: str, *, name: str = "provider", days: int = 365, at: int = NOW) -> bytes:
    """Return a certificate for the key, valid from a day before `at` (seconds since the epoch)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    since = datetime.fromtimestamp(at, UTC) - timedelta(days=1)
    key = rsa_key(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=days))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def rsa_signature(message: bytes, digest: str = "sha256", *, name: str = "provider") -> str:
    """Return the base64 of the key's signature (PKCS #1 v1.5)."""
    chosen = SHA1() if digest == "sha1" else SHA256()
    return base64.b64encode(rsa_key(name).sign(message, PKCS1v15(), chosen)).decode()


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
