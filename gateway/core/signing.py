"""Keys and signatures: with `asymmetric` the one place that knows cryptography.

Signatures are compared as bytes in constant time, in the form the header writes them: what is not exactly the right
text does not match, so that nothing has to be decoded, and nothing can raise, before the comparison.
"""

import binascii
import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.asymmetric import Kind, PrivateKey, PublicKey, private_key, public_key, signed, verifies
from gateway.core.provider import Encoding, Key, Mac, Message

_PUBLIC, _PRIVATE = "whpk_", "whsk_"
_URL_SAFE, _FROM_URL_SAFE = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
_ENCODERS: dict[Encoding, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": lambda digest: binascii.b2a_base64(digest, newline=False),
    "base64url": lambda digest: binascii.b2a_base64(digest, newline=False).translate(_URL_SAFE).rstrip(b"="),
    "raw": bytes,
}


def fold(encoding: Encoding, candidate: bytes) -> bytes:
    """Return the candidate as we would write it: hex may come in upper case, and URL-safe base64 with padding."""
    if encoding == "hex":
        return candidate.lower()
    return candidate.rstrip(b"=") if encoding == "base64url" else candidate


class Checker(Protocol):
    """One secret under one way to sign."""

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:
        """Return whether any candidate is this secret's signature of the message."""
        ...

    def well_formed(self, candidate: bytes) -> bool:
        """Return whether the candidate could be a signature at all; tells `malformed` from `mismatch`."""
        ...

    def sign(self, message: Message) -> bytes | None:
        """Return the signature as the header writes it, None where only the provider can sign."""
        ...


class Labelled(NamedTuple):
    """A secret in place: its label, its entries' prefix, its check."""

    label: str
    prefix: bytes
    checker: Checker


def fits(mac: Mac, text: str) -> bool:
    """Return whether a secret's text is meant for this way to sign."""
    key = mac.key
    if text.startswith(key.refuses):
        return False
    if key.prefix == _PUBLIC and text.startswith(_PRIVATE):
        return True
    return text.startswith(key.prefix) or not key.prefix_needed


def checker(mac: Mac, text: str) -> Checker:
    """Return the check of a secret that `fits`.

    Raises:
        ValueError: the text is no such key. The message does not hold it.
    """
    kind = _KINDS.get(mac.algorithm)
    if kind is not None:
        return _asymmetric(kind, mac, text)
    key = _key_bytes(mac.key, text.removeprefix(mac.key.prefix))
    if mac.algorithm == "none":
        return _Equality(_ENCODERS[mac.encoding](key))
    if mac.algorithm == "sha256":
        return _Plain(key, mac.encoding)
    return _Hmac(key, mac.algorithm.removeprefix("hmac-"), mac.encoding)


def _key_bytes(key: Key, text: str) -> bytes:
    try:
        if key.encoding == "utf8":
            decoded = text.encode()
        elif key.encoding == "nfkd":
            decoded = unicodedata.normalize("NFKD", text).encode()
        elif key.encoding == "sha1":
            decoded = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
        elif key.encoding == "hex":
            decoded = binascii.unhexlify(text)
        else:
            decoded = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        behind = f" behind {key.prefix}" if key.prefix else ""
        raise ValueError(f"is not {key.encoding}{behind}") from None
    if not decoded:
        raise ValueError("is empty")
    return decoded


class _Hmac:
    __slots__ = ("_encode", "_encoding", "_keyed", "_length")

    def __init__(self, key: bytes, digest: str, encoding: Encoding) -> None:
        self._keyed = hmac.new(key, digestmod=digest)
        self._encode = _ENCODERS[encoding]
        self._encoding = encoding
        self._length = len(self._encode(self._keyed.digest()))

    def sign(self, message: Message) -> bytes:
        keyed = self._keyed.copy()
        for part in message:
            keyed.update(part)
        return self._encode(keyed.digest())

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:
        expected, encoding = self.sign(message), self._encoding
        return any(hmac.compare_digest(expected, fold(encoding, candidate)) for candidate in candidates)

    def well_formed(self, candidate: bytes) -> bool:
        return len(fold(self._encoding, candidate)) == self._length


class _Equality:
    __slots__ = ("_expected",)

    def __init__(self, expected: bytes) -> None:
        self._expected = expected

    def sign(self, message: Message) -> bytes:  # noqa: ARG002 - a shared token signs nothing
        return self._expected

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:  # noqa: ARG002 - as above
        return any(hmac.compare_digest(self._expected, candidate) for candidate in candidates)

    def well_formed(self, candidate: bytes) -> bool:
        return bool(candidate)


class _Plain:
    """The plain digest of the secret and the message (HubSpot's first versions)."""

    __slots__ = ("_encode", "_encoding", "_started")

    def __init__(self, key: bytes, encoding: Encoding) -> None:
        self._started = hashlib.sha256(key)
        self._encode = _ENCODERS[encoding]
        self._encoding = encoding

    def sign(self, message: Message) -> bytes:
        digest = self._started.copy()
        for part in message:
            digest.update(part)
        return self._encode(digest.digest())

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:
        expected, encoding = self.sign(message), self._encoding
        return any(hmac.compare_digest(expected, fold(encoding, candidate)) for candidate in candidates)

    def well_formed(self, candidate: bytes) -> bool:
        return len(fold(self._encoding, candidate)) == len(self.sign((b"",)))


class _Asymmetric:
    __slots__ = ("_encoding", "_private", "_public", "_sizes")

    def __init__(self, public: PublicKey, private: PrivateKey | None, encoding: Encoding, sizes: range) -> None:
        self._public = public
        self._private = private
        self._encoding = encoding
        self._sizes = sizes

    def sign(self, message: Message) -> bytes | None:
        return None if self._private is None else _ENCODERS[self._encoding](signed(self._private, b"".join(message)))

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:
        joined = b"".join(message)
        return any(self._verifies(joined, candidate) for candidate in candidates)

    def well_formed(self, candidate: bytes) -> bool:
        return self._decoded(candidate) is not None

    def _verifies(self, message: bytes, candidate: bytes) -> bool:
        signature = self._decoded(candidate)
        return signature is not None and verifies(self._public, message, signature)

    def _decoded(self, candidate: bytes) -> bytes | None:
        try:
            if self._encoding == "hex":
                signature = binascii.unhexlify(candidate)
            else:
                padded = candidate.translate(_FROM_URL_SAFE) + b"=" * (-len(candidate) % 4)
                signature = binascii.a2b_base64(padded, strict_mode=True)
        except ValueError:
            return None
        # Written again, since base64 has spare bits that decoding would let anyone change.
        canonical = _ENCODERS[self._encoding](signature) == fold(self._encoding, candidate)
        return signature if canonical and len(signature) in self._sizes else None


# How long signatures are, in bytes: ECDSA's DER varies, RSA's depends on the key.
_SIZES: Mapping[Kind, range] = {
    "ed25519": range(64, 65),
    "ecdsa-p256-sha256": range(8, 73),
    "rsa-sha256": range(256, 1025),
}
_KINDS: Mapping[str, Kind] = {kind: kind for kind in _SIZES}
_ED25519_KEY = 32


def _asymmetric(kind: Kind, mac: Mac, text: str) -> _Asymmetric:
    sizes = _SIZES[kind]
    private: PrivateKey | None = None
    if "PRIVATE KEY-----" in text[:64]:
        private = private_key(kind, text.encode())
    elif mac.key.prefix == _PUBLIC and text.startswith(_PRIVATE):
        # A private key is its seed, with or without the public half behind it.
        decoded = _key_bytes(mac.key, text.removeprefix(_PRIVATE))
        if len(decoded) not in {_ED25519_KEY, 2 * _ED25519_KEY}:
            raise ValueError("is no Ed25519 private key: 32 or 64 bytes are needed")
        private = Ed25519PrivateKey.from_private_bytes(decoded[:_ED25519_KEY])
    if private is not None:
        return _Asymmetric(private.public_key(), private, mac.encoding, sizes)
    if text.startswith("-----BEGIN"):
        return _Asymmetric(public_key(kind, text.encode()), None, mac.encoding, sizes)
    decoded = _key_bytes(mac.key, text.removeprefix(mac.key.prefix))
    return _Asymmetric(public_key(kind, decoded), None, mac.encoding, sizes)
