"""The HTTP client: runs the gateway's own requests, such as for keys and for objects that an event only names.

Rules, none of which an `Ask` can lift:

- `https` alone, with `Ask.private` `http` as well; certificates and names are always checked, against the system's
  authorities, or those of `SSL_CERT_FILE`.
- A host is resolved once for each connection, every address it has must be allowed, and the connection goes to one of
  those very addresses: a name that resolves differently the next moment gains nothing.
- Redirects are not followed, proxies of the environment not used, cookies not kept, content codings refused.
- One deadline spans all of it: waiting for a connection, resolving, connecting, TLS, sending, reading.
- An answer is read up to `Ask.max_bytes` and no further.

Errors name the host and the cause; URL, headers and bodies stand in no message and no log line.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore2

from gateway.core.addresses import may_connect
from gateway.core.outgoing import Answer, Ask, OutgoingError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; raises `OSError`."""

_CONNECTIONS = 32
_KEPT = 8
# Shorter than servers keep an idle connection, so that hardly a request meets one that is just being closed.
_KEPT_FOR = 10.0
# A host with many addresses that all hang must not eat the whole deadline with the first.
_TRIED = 4

# Threads of its own: a system that cannot resolve holds them for long, beyond any deadline, and those of the event loop
# are what everything else that blocks runs in.
_RESOLVING = ThreadPoolExecutor(8, "resolving")

_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)

# At the level of debugging it tells of headers.
logging.getLogger("httpcore2").setLevel(logging.WARNING)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses the system knows of a host, in the order to try them.

    Raises:
        OSError: there are none, or nobody could tell.
    """
    asked = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVING, asked)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Client:
    """Runs requests; `fetch` is a `gateway.core.outgoing.Fetch`. Make it in the event loop it is used in.

    Args:
        context: what TLS trusts; by default the system's authorities.
        resolver: what finds a host's addresses; by default the system's.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, resolver: Resolver = resolve) -> None:
        context = ssl.create_default_context() if context is None else context
        # Two pools: a connection that was allowed to a private address is never lent to a request that is not.
        self._pools = {private: _pool(context, resolver, private=private) for private in (False, True)}

    async def fetch(self, ask: Ask, seconds: float) -> Answer:
        """Run one request within `seconds`.

        Raises:
            OutgoingError: there is no answer, or none that may be taken.
        """
        host, request = _request(ask, seconds)
        try:
            async with asyncio.timeout(seconds):
                return await self._run(host, request, ask)
        except TimeoutError:
            raise OutgoingError(f"{host}: no answer within {seconds:g} s") from None
        except _FAILURES as error:
            raise OutgoingError(f"{host}: {_cause(error)}") from None

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _run(self, host: str, request: httpcore2.Request, ask: Ask) -> Answer:
        response = await self._pools[ask.private].handle_async_request(request)
        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, headers, await _body(host, response, headers, ask))
        finally:
            await response.aclose()


async def _body(host: str, response: httpcore2.Response, headers: dict[str, str], ask: Ask) -> bytes:
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise OutgoingError(f"{host}: the answer is in a content coding, which was not asked for")
    too_large = OutgoingError(f"{host}: the answer is larger than {ask.max_bytes} bytes")
    declared = headers.get("content-length", "")
    if ask.method != "HEAD" and declared.isdecimal() and int(declared) > ask.max_bytes:
        raise too_large
    body = bytearray()
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > ask.max_bytes:
                raise too_large
    return bytes(body)


def _request(ask: Ask, seconds: float) -> tuple[str, httpcore2.Request]:
    """Return the host and the request. It is put together from parsed parts, so that nobody parses the URL again."""
    try:
        parts = urlsplit(ask.url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise OutgoingError("the URL cannot be read") from None
    if not _is_plain(ask.url) or not host or "@" in parts.netloc or "%" in host:
        raise OutgoingError("the URL cannot be read")
    if parts.scheme != "https" and not (ask.private and parts.scheme == "http"):
        raise OutgoingError(f"{host}: only https is allowed")
    port = (443 if parts.scheme == "https" else 80) if port is None else port
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    url = httpcore2.URL(scheme=parts.scheme.encode(), host=host.encode(), port=port, target=target.encode())
    # The timeout of connecting is shared out among a host's addresses; the deadline itself is kept by `fetch`.
    extensions = {"timeout": {"connect": seconds}}
    return host, httpcore2.Request(
        ask.method, url, headers=_headers(ask, host, parts.netloc), content=ask.body, extensions=extensions
    )


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "\\" not in url


def _headers(ask: Ask, host: str, authority: str) -> list[tuple[str, str]]:
    headers = {
        "user-agent": f"webhook-gateway/{version('webhook-gateway')}",
        "accept": "*/*",
        **{name.lower(): value for name, value in ask.headers.items()},
        "host": authority,
        "accept-encoding": "identity",
    }
    if ask.body or ask.method not in ("GET", "HEAD"):
        headers["content-length"] = str(len(ask.body))
    if not all(_is_header(name, value) for name, value in headers.items()):
        raise OutgoingError(f"{host}: a header that cannot be sent")
    return list(headers.items())


def _is_header(name: str, value: str) -> bool:
    token = name.replace("-", "").replace("_", "")
    return token.isascii() and token.isalnum() and value.isascii() and (value == "" or value.isprintable())


class _RefusedAddressError(httpcore2.ConnectError):
    """A host has an address that the request may not be connected to."""


class _UnknownHostError(httpcore2.ConnectError):
    """A host has no address."""


_CAUSES = (
    (_RefusedAddressError, "an address of it is none that may be asked"),
    (_UnknownHostError, "its name cannot be resolved"),
    (ssl.SSLError, "TLS failed"),
    (httpcore2.ProtocolError, "its answer is no HTTP, or was cut off"),
)


def _cause(error: BaseException) -> str:
    """Return why there was no answer, in words that come from us or from OpenSSL."""
    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {link.verify_message}"
        for kind, text in _CAUSES:
            if isinstance(link, kind):
                return text
    return "no connection" if isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout) else "it broke off"


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Tcp(httpcore2.AsyncNetworkStream):
    """A connection that closes if its TLS handshake is cancelled; the library closes it on errors alone."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self.read = stream.read  # type: ignore[method-assign]
        self.write = stream.write  # type: ignore[method-assign]
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore2.AsyncNetworkStream:
        """Encrypt the connection."""
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise


class _Network(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses alone. TLS asks for the host's own name afterwards, so it is checked as ever."""

    def __init__(self, resolver: Resolver, *, private: bool) -> None:
        self._backend = httpcore2.AnyIOBackend()
        self._resolve = resolver
        self._private = private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that takes the connection."""
        addresses = await self._allowed(host, port)
        share = None if timeout is None else timeout / len(addresses)
        failure: Exception = _UnknownHostError()
        for address in addresses:
            try:
                return _Tcp(await self._backend.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _allowed(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # the latter for labels that are empty or too long
            raise _UnknownHostError from error
        if not addresses:
            raise _UnknownHostError
        if not all(may_connect(address, private=self._private) for address in addresses):
            raise _RefusedAddressError
        return addresses[:_TRIED]


def _pool(context: ssl.SSLContext, resolver: Resolver, *, private: bool) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_KEPT,
        keepalive_expiry=_KEPT_FOR,
        network_backend=_Network(resolver, private=private),
    )
