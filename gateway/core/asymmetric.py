"""Public keys and their signatures, beside `signing` the one module that knows cryptography.

Nothing here raises for what a sender wrote: a text that is no signature is one that does not match.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Kind = Literal["ed25519", "ecdsa-p256-sha256", "rsa-sha256"]

_RAW_ED25519 = 32
_SMALLEST_RSA = 2048
_DIGESTS: Mapping[str, HashAlgorithm] = {
    "sha1": SHA1(),  # noqa: S303 - SNS's signature version 1, for topics nobody has switched
    "sha256": SHA256(),
    "sha384": SHA384(),
    "sha512": SHA512(),
}


def public_key(kind: Kind, decoded: bytes) -> PublicKey:
    """Return a public key from its decoded text: PEM, DER (SPKI), or the 32 bytes of Ed25519.

    Raises:
        ValueError: it is no such key. The message does not hold it.
    """
    try:
        if decoded.startswith(b"-----BEGIN"):
            return _of_kind(kind, load_pem_public_key(decoded))
        if kind == "ed25519" and len(decoded) == _RAW_ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(decoded)
        return _of_kind(kind, load_der_public_key(decoded))
    except (ValueError, UnsupportedAlgorithm):
        size = ": PEM, or 32 bytes are needed" if kind == "ed25519" else ": PEM, or its DER is needed"
        raise ValueError(f"is no public key for {kind}{size}") from None


def private_key(kind: Kind, pem: bytes) -> PrivateKey:
    """Return a private key from PEM.

    Raises:
        ValueError: it is no such key. The message does not hold it.
    """
    try:
        key = load_pem_private_key(pem, password=None)
        _of_kind(kind, key.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"is no private key for {kind}") from None
    assert isinstance(key, PrivateKey)  # noqa: S101 - `_of_kind` made sure
    return key


def _of_kind(kind: Kind, key: object) -> PublicKey:
    if kind == "ed25519" and isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if kind == "ecdsa-p256-sha256" and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return key
    if kind == "rsa-sha256" and isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return key
    raise ValueError("another kind of key")


def verifies(key: PublicKey, message: bytes, signature: bytes, *, digest: str = "sha256") -> bool:
    """Return whether the signature is the key's: Ed25519, ECDSA (DER), or RSA (PKCS #1 v1.5)."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(_DIGESTS[digest]))
        else:
            key.verify(signature, message, padding.PKCS1v15(), _DIGESTS[digest])
    except InvalidSignature:
        return False
    return True


def signed(key: PrivateKey, message: bytes) -> bytes:
    """Return the signature, with SHA-256 where a digest is needed."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(SHA256()))
    return key.sign(message, padding.PKCS1v15(), SHA256())


def der_of_raw(signature: bytes) -> bytes | None:
    """Return JWS's form of an ECDSA P-256 signature (r and s of 32 bytes, RFC 7518 section 3.4) as DER."""
    if len(signature) != 64:
        return None
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))


def base64_bytes(text: bytes) -> bytes | None:
    """Return what canonical, padded base64 holds, None for any other text."""
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return decoded if base64.b64encode(decoded) == text else None


def certificate_key(pem: bytes, subject: str, now_us: int) -> rsa.RSAPublicKey | None:
    """Return the RSA key of the first certificate in `pem`.

    None where there is none, where its common name does not match the regular expression `subject` whole, or where
    it is not valid at `now_us`. That it came from the provider's own host is the fetcher's business.
    """
    certificate = _certificate(pem)
    if certificate is None:
        return None
    key, name, since, until = certificate
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    return key if since <= now <= until and re.fullmatch(subject, name) else None


@lru_cache(maxsize=64)
def _certificate(pem: bytes) -> tuple[rsa.RSAPublicKey, str, datetime, datetime] | None:
    try:
        found = x509.load_pem_x509_certificate(pem)
        key = found.public_key()
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _SMALLEST_RSA or len(names) != 1:
        return None
    return key, str(names[0].value), found.not_valid_before_utc, found.not_valid_after_utc


def jwk_key(jwk: Mapping[str, object]) -> PublicKey | None:
    """Return the key of a JSON Web Key (RFC 7517), RSA or P-256; None for any other."""
    try:
        if jwk.get("kty") == "RSA":
            return _of_kind("rsa-sha256", rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key())
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            return ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), ec.SECP256R1()).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return None


def _number(jwk: Mapping[str, object], name: str) -> int:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > 2_048:
        raise ValueError(name)
    return int.from_bytes(base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True))
