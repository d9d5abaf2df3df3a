"""JSON Web Tokens as senders use them to prove a delivery: JWS compact serialisation (RFC 7515), verified. Pure.

The algorithm comes from the provider's data and never from the token; a token that says another is not verified.
"""

import base64
import hmac
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from gateway.core.admission import RefusedReason
from gateway.core.asymmetric import PublicKey, der_of_raw, verifies
from gateway.core.source import Secret

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "ES256"]

LONGEST = 8_192
_LEEWAY = 60.0
_FURTHEST = 253_402_300_800


class Token(NamedTuple):
    """A token taken apart, and not yet verified."""

    header: Mapping[str, object]
    claims: Mapping[str, object]
    signed: bytes
    signature: bytes

    def text(self, name: str) -> str:
        """Return a claim that is a text, empty if it is none."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""

    def seconds(self, name: str) -> float | None:
        """Return a claim that is a time in seconds since the epoch (RFC 7519, section 2), at most the year 10000."""
        value = self.claims.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        # Neither the size of an integer nor an exponent may overflow in what is reckoned with it.
        return float(max(-_FURTHEST, min(value, _FURTHEST)))

    def audiences(self) -> tuple[str, ...]:
        """Return whom the token is for: `aud` is a text or a list of them."""
        value = self.claims.get("aud")
        listed = value if isinstance(value, list) else [value]
        return tuple(item for item in listed if isinstance(item, str))


_objects = msgspec.json.Decoder(dict[str, object])


def read_token(text: bytes) -> Token | None:
    """Return the token's parts, None for any other text."""
    parts = text.split(b".") if len(text) <= LONGEST else []
    if len(parts) != 3:
        return None
    try:
        header, claims = (_objects.decode(_decoded(part)) for part in parts[:2])
        return Token(header, claims, parts[0] + b"." + parts[1], _decoded(parts[2]))
    except (ValueError, RecursionError):
        return None


def _decoded(part: bytes) -> bytes:
    decoded = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    # Written again, since base64 has spare bits that decoding would let anyone change.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise ValueError("not canonical")
    return decoded


def signed_by(token: Token, algorithm: Algorithm, key: bytes | PublicKey) -> bool:
    """Return whether the key signed the token with that algorithm."""
    if token.header.get("alg") != algorithm or "crit" in token.header:
        return False
    if isinstance(key, bytes):
        return algorithm.startswith("HS") and hmac.compare_digest(mac(key, algorithm, token.signed), token.signature)
    if algorithm == "ES256":
        der = der_of_raw(token.signature)
        return der is not None and verifies(key, token.signed, der)
    return algorithm == "RS256" and verifies(key, token.signed, token.signature)


def signer(token: Token, algorithms: Iterable[Algorithm], secrets: Iterable[Secret]) -> str | None:
    """Return the label of the shared secret that signed the token, None if none of them did."""
    allowed = tuple(algorithms)
    for secret in secrets:
        key = secret.text.encode()
        if any(signed_by(token, algorithm, key) for algorithm in allowed):
            return secret.label
    return None


def mac(key: bytes, algorithm: Algorithm, message: bytes) -> bytes:
    """Return the HMAC of an `HS` algorithm (RFC 7518, section 3.2)."""
    return hmac.digest(key, message, f"sha{algorithm[2:]}")


def time_refusal(token: Token, now_us: int, *, leeway: float = _LEEWAY) -> RefusedReason | None:
    """Return why the token's own times (`exp`, `nbf`, `iat`) refuse it; `leeway` is in seconds."""
    now = now_us / 1e6
    expires, begins, issued = token.seconds("exp"), token.seconds("nbf"), token.seconds("iat")
    if expires is not None and now > expires + leeway:
        return "timestamp_stale"
    since = max(begins or 0.0, issued or 0.0)
    return "timestamp_future" if since > now + leeway else None


def written(header: Mapping[str, object], claims: Mapping[str, object], key: bytes, algorithm: Algorithm) -> bytes:
    """Return a token signed with a shared key, for test deliveries."""
    parts = (msgspec.json.encode({"alg": algorithm, "typ": "JWT", **header}), msgspec.json.encode(claims))
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return signed + b"." + base64.urlsafe_b64encode(mac(key, algorithm, signed)).rstrip(b"=")
