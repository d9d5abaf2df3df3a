"""Microsoft Entra's tokens: who issues them, whom they speak for, and where their keys are published.

https://learn.microsoft.com/entra/identity-platform/access-tokens
"""

from collections.abc import Callable, Iterable

from gateway.core.admission import NeedsKey, Rejected, Request
from gateway.core.jwt import Token, read_token
from gateway.core.keysets import proved
from gateway.core.outgoing import Ask
from gateway.core.provider import Terms

# The key sets that the two versions' metadata documents name for all tenants. Personal accounts' keys are in the
# second alone, each with its issuer.
KEYS = "https://login.microsoftonline.com/common/discovery/keys"
KEYS_2 = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def issuers(tenants: Iterable[str]) -> frozenset[str]:
    """Return the issuers of both versions of tokens, for the tenants."""
    forms = ("https://sts.windows.net/{}/", "https://login.microsoftonline.com/{}/v2.0")
    return frozenset(form.format(tenant) for tenant in tenants for form in forms)


def party(token: Token) -> str:
    """Return the application that the token was issued to: `azp` in version 2, `appid` before."""
    return token.text("azp") or token.text("appid")


def checked(text: bytes, request: Request, now_us: int, allows: Callable[[Token], bool]) -> Token | Rejected | NeedsKey:
    """Return the token if a key of its own version's set signed it, it has not expired, and `allows` says so."""
    token = read_token(text)
    if token is None:
        return Rejected("signature_malformed")
    return proved(token, request, KEYS_2 if token.text("ver") == "2.0" else KEYS, now_us, allows)


def keys_request(ref: str, _terms: Terms) -> Ask:
    """Return the request for the keys."""
    return Ask(url=ref)
