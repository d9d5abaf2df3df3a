"""Tokens for SASL OAUTHBEARER: the client-credentials grant (RFC 6749, section 4.4), asked on a thread.

A token is kept until shortly before it expires. The connection to the token server is ours to distrust: https alone
(but for the loopback), no redirect followed, the answer bounded, and no word of it in any message.
"""

import asyncio
import base64
import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from gateway.core.errors import ConfigError

_SOCKET_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_ANSWER_BYTES = 256 * 1024
# How long before its end a token is replaced, and how long one without `expires_in` is taken to last.
_MARGIN_SECONDS = 60.0
_UNKNOWN_LIFE_SECONDS = 300.0
_LONGEST_LIFE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Where tokens come from. `token_url` is https, or http to the loopback."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float


class TokenProvider(AbstractTokenProvider):
    """Gives aiokafka a token whenever it connects.

    Args:
        oauth: where to ask.
        now: seconds of a clock that never steps.

    Raises:
        ConfigError: the URL is not one that a secret may be sent to.
    """

    def __init__(self, oauth: OAuth, *, now: Callable[[], float] = time.monotonic) -> None:
        self._oauth = oauth
        self._url = _checked(oauth.token_url)
        self._now = now
        self._token: _Token | None = None
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is valid for a while yet.

        Raises:
            KafkaConnectionError: there is none; aiokafka takes that for a failed connection and tries again.
        """
        async with self._asking:
            if self._token is None or self._now() >= self._token.renew_at:
                self._token = await self._ask()
            return self._token.text

    async def _ask(self) -> _Token:
        asked = self._now()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await asyncio.to_thread(_fetch, self._url, self._oauth)
            text, seconds = _read(answer)
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            # `from None`: the text of the cause may quote the answer.
            raise KafkaConnectionError(f"no OAuth token ({type(error).__name__})") from None
        return _Token(text, asked + max(seconds - _MARGIN_SECONDS, seconds / 2))


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError("log.security.oauth.token_url is no URL") from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    if not secure or not parts.hostname or parts.username is not None:
        raise ConfigError("log.security.oauth.token_url must be an https URL without credentials in it")
    return parts


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _fetch(url: SplitResult, oauth: OAuth) -> bytes:
    """Ask for a token; `http.client` follows no redirect and knows no proxy."""
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=_SOCKET_SECONDS)
    form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
    # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
    credentials = f"{quote_plus(oauth.client_id)}:{quote_plus(oauth.client_secret)}".encode()
    headers = {
        "Accept": "application/json",
        "Authorization": "Basic " + base64.b64encode(credentials).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", target, urlencode(form), headers)
        with connection.getresponse() as response:
            if response.status != http.client.OK:
                raise http.client.HTTPException
            return response.read(_ANSWER_BYTES)
    finally:
        connection.close()


def _read(answer: bytes) -> tuple[str, float]:
    """Return the token and how long it lasts in seconds.

    Raises:
        ValueError: the answer is none (RFC 6749, section 5.1).
    """
    found = json.loads(answer)
    text = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
        raise ValueError
    return text, _life(found.get("expires_in"))


def _life(expires_in: object) -> float:
    if not isinstance(expires_in, int | float) or not expires_in > 0:
        return _UNKNOWN_LIFE_SECONDS
    return min(float(expires_in), _LONGEST_LIFE_SECONDS)
