"""Key sets (RFC 7517, section 5) as identity providers publish them, and tokens that their keys sign. Pure."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.core.admission import NeedsKey, Rejected, Request
from gateway.core.asymmetric import PublicKey, jwk_key
from gateway.core.jwt import Token, read_token, signed_by, time_refusal

_MOST_KEYS = 128
_BEARER = b"bearer"
_ANY_TENANT = "{tenantid}"

_sets = msgspec.json.Decoder(dict[str, object])


class _Listed(NamedTuple):
    """A key, and the one issuer that it signs for; empty for any."""

    key: PublicKey
    issuer: str


def key_of(keyset: bytes, kid: object, issuer: str = "") -> PublicKey | None:
    """Return the key of that id, None where the set has none that signs for the issuer.

    Sets that serve many issuers may name each key's own, as Microsoft's do (`issuer`, with `{tenantid}` for any
    tenant): a key for one of them proves nothing about another.
    """
    found = _keys(keyset).get(kid) if isinstance(kid, str) else None
    return found.key if found is not None and found.issuer in {"", issuer} else None


@lru_cache(maxsize=16)
def _keys(keyset: bytes) -> Mapping[str, _Listed]:
    try:
        listed = _sets.decode(keyset).get("keys")
    except (ValueError, RecursionError):
        return {}
    found: dict[str, _Listed] = {}
    for jwk in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        key = jwk_key(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            found[str(jwk.get("kid"))] = _Listed(key, _issuer(jwk))
    return found


def _issuer(jwk: Mapping[str, object]) -> str:
    issuer = str(jwk.get("issuer") or "")
    return "" if _ANY_TENANT in issuer else issuer


def checked(
    text: bytes, request: Request, ref: str, now_us: int, allows: Callable[[Token], bool]
) -> Token | Rejected | NeedsKey:
    """Return the token if a key of the set at `ref` signed it (RS256), it has not expired, and `allows` says so.

    `allows` is asked first, so that no token that is meant for another causes a fetch.
    """
    token = read_token(text)
    return Rejected("signature_malformed") if token is None else proved(token, request, ref, now_us, allows)


def proved(
    token: Token, request: Request, ref: str, now_us: int, allows: Callable[[Token], bool]
) -> Token | Rejected | NeedsKey:
    """Do what `checked` does for a token that was taken apart."""
    if token.header.get("alg") != "RS256" or not allows(token):
        return Rejected("signature_mismatch")
    keyset = request.keys.get(ref)
    key = None if keyset is None else key_of(keyset, token.header.get("kid"), token.text("iss"))
    if key is None:
        return NeedsKey(ref)
    if not signed_by(token, "RS256", key):
        return Rejected("signature_mismatch")
    if token.seconds("exp") is None:
        return Rejected("timestamp_missing")
    refusal = time_refusal(token, now_us)
    return token if refusal is None else Rejected(refusal)


def bearer_token(request: Request) -> bytes | Rejected:
    """Return the token of the Authorization header (RFC 6750, section 2.1)."""
    if b"authorization" in request.repeated:
        return Rejected("signature_repeated")
    scheme, _, text = request.headers.get(b"authorization", b"").partition(b" ")
    if not text.strip():
        return Rejected("signature_missing")
    return text.strip() if scheme.lower() == _BEARER else Rejected("signature_malformed")
