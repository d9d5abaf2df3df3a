"""Keys and signatures: the one module that knows cryptography.

Signatures are compared as bytes in constant time, in the form the header writes them: what is not exactly the right
text does not match, so that nothing has to be decoded, and nothing can raise, before the comparison.
"""

import binascii
import hmac
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
    if mac.algorithm == "ed25519":
        return _ed25519(mac, text)
    key = _key_bytes(mac.key, text.removeprefix(mac.key.prefix))
    if mac.algorithm == "none":
        return _Equality(_ENCODERS[mac.encoding](key))
    return _Hmac(key, mac.algorithm.removeprefix("hmac-"), mac.encoding)


def _key_bytes(key: Key, text: str) -> bytes:
    try:
        if key.encoding == "utf8":
            decoded = text.encode()
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


class _Ed25519:
    __slots__ = ("_encoding", "_private", "_public")

    def __init__(self, public: Ed25519PublicKey, private: Ed25519PrivateKey | None, encoding: Encoding) -> None:
        self._public = public
        self._private = private
        self._encoding = encoding

    def sign(self, message: Message) -> bytes | None:
        return None if self._private is None else _ENCODERS[self._encoding](self._private.sign(b"".join(message)))

    def matches(self, message: Message, candidates: Iterable[bytes]) -> bool:
        joined = b"".join(message)
        return any(self._verifies(joined, candidate) for candidate in candidates)

    def well_formed(self, candidate: bytes) -> bool:
        return self._decoded(candidate) is not None

    def _verifies(self, message: bytes, candidate: bytes) -> bool:
        signature = self._decoded(candidate)
        if signature is None:
            return False
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

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
        return signature if canonical and len(signature) == _ED25519_SIGNATURE else None


_ED25519_SIGNATURE = 64
_ED25519_KEY = 32


def _ed25519(mac: Mac, text: str) -> _Ed25519:
    if mac.key.prefix == _PUBLIC and text.startswith(_PRIVATE):
        # A private key is its seed, with or without the public half behind it.
        decoded = _key_bytes(mac.key, text.removeprefix(_PRIVATE))
        if len(decoded) not in {_ED25519_KEY, 2 * _ED25519_KEY}:
            raise ValueError("is no Ed25519 private key: 32 or 64 bytes are needed")
        private = Ed25519PrivateKey.from_private_bytes(decoded[:_ED25519_KEY])
        return _Ed25519(private.public_key(), private, mac.encoding)
    decoded = _key_bytes(mac.key, text.removeprefix(mac.key.prefix))
    if len(decoded) != _ED25519_KEY:
        raise ValueError("is no Ed25519 public key: 32 bytes are needed")
    return _Ed25519(Ed25519PublicKey.from_public_bytes(decoded), None, mac.encoding)
