"""Tokens by the client-credentials grant, from a token server on the loopback."""

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from aiokafka.errors import KafkaConnectionError

from gateway.keep.kafka.tokens import OAuth, TokenProvider

SECRET = "s3cret & value"


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]


@dataclass
class TokenServer:
    """Answers with `answer`, or what `raw` says, and `status`; notes what it was asked."""

    port: int = 0
    status: int = 200
    answer: object = field(default_factory=lambda: {"access_token": "token-1", "expires_in": 3600})
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def provider(self, now: "Clock | None" = None, *, scope: str | None = None) -> TokenProvider:
        url = f"http://127.0.0.1:{self.port}/oauth/token?tenant=a"
        return TokenProvider(
            OAuth(token_url=url, client_id="gate way", client_secret=SECRET, scope=scope), now=now or Clock()
        )


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[TokenServer]:
    told = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told.asked.append(Asked(self.path, dict(self.headers), parse_qs(form)))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.raw if told.raw is not None else json.dumps(told.answer).encode())

        do_GET = do_POST  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    http.shutdown()
    thread.join()
    http.server_close()


async def test_a_token_is_asked_for_as_the_rfc_says(server: TokenServer) -> None:
    token = await server.provider(scope="kafka.write").token()

    (asked,) = server.asked
    assert token == "token-1"
    assert asked.path == "/oauth/token?tenant=a"
    assert asked.form == {"grant_type": ["client_credentials"], "scope": ["kafka.write"]}
    scheme, credentials = asked.headers["Authorization"].split()
    assert (scheme, base64.b64decode(credentials)) == ("Basic", b"gate+way:s3cret+%26+value")


async def test_a_token_is_kept_until_shortly_before_it_expires(server: TokenServer) -> None:
    clock = Clock()
    provider = server.provider(clock)
    await provider.token()
    clock.now += 3500
    await provider.token()
    assert len(server.asked) == 1

    clock.now += 45
    server.answer = {"access_token": "token-2", "expires_in": 3600}

    assert await provider.token() == "token-2"


async def test_a_token_that_expires_soon_is_used_for_half_its_life(server: TokenServer) -> None:
    server.answer = {"access_token": "token-1", "expires_in": 40}
    clock = Clock()
    provider = server.provider(clock)
    await provider.token()
    clock.now += 19
    await provider.token()
    assert len(server.asked) == 1

    clock.now += 2
    await provider.token()

    assert len(server.asked) == 2


@pytest.mark.parametrize("lasting", [None, "3600", -5, 0, float("nan"), []])
async def test_a_token_of_unknown_life_is_replaced_within_minutes(server: TokenServer, lasting: object) -> None:
    server.answer = {"access_token": "token-1", "expires_in": lasting}
    clock = Clock()
    provider = server.provider(clock)
    await provider.token()
    clock.now += 300

    await provider.token()

    assert len(server.asked) == 2


async def test_connections_made_at_once_share_one_question(server: TokenServer) -> None:
    provider = server.provider()

    tokens = await asyncio.gather(*[provider.token() for _ in range(5)])

    assert tokens == ["token-1"] * 5
    assert len(server.asked) == 1


async def test_no_redirect_is_followed(server: TokenServer) -> None:
    server.status, server.headers = 307, {"Location": f"http://127.0.0.1:{server.port}/elsewhere"}

    with pytest.raises(KafkaConnectionError):
        await server.provider().token()

    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "raw",
    [b"", b"no json", b"[]", b"{}", b'{"access_token": 5}', b'{"access_token": "a\\u0001b"}', b"[" * 200_000, b"\xff"],
    ids=range(8),
)
async def test_an_answer_without_a_token_is_a_failed_connection_that_quotes_nothing(
    server: TokenServer, raw: bytes
) -> None:
    server.raw = raw

    with pytest.raises(KafkaConnectionError, match=r"no OAuth token \(\w+\)$") as failed:
        await server.provider().token()

    assert failed.value.__cause__ is None
    assert SECRET not in str(failed.value)


async def test_a_refusal_leaves_the_next_attempt_free_to_succeed(server: TokenServer) -> None:
    provider = server.provider()
    server.status = 401
    with pytest.raises(KafkaConnectionError):
        await provider.token()

    server.status = 200

    assert await provider.token() == "token-1"


async def test_a_token_server_that_is_gone_is_a_failed_connection() -> None:
    gone = TokenServer(port=1)

    with pytest.raises(KafkaConnectionError):
        await gone.provider().token()
