import asyncio
import gzip
import logging
import ssl

import pytest

from gateway.core.outgoing import Ask, OutgoingError
from gateway.outgoing import Client
from tests.https_rig import HOST, Server, always, reply, serving, trusting

LONG = 30.0
SECRET = "sk_live_never_to_be_seen"


def client_of(server: Server, **over) -> Client:
    return Client(**{"context": trusting(), "resolver": server.resolve, **over})


def ask(server: Server, path: str = "/", **over) -> Ask:
    return Ask(**{"url": server.url(path), "private": True, "headers": {"authorization": f"Bearer {SECRET}"}, **over})


async def failure(client: Client, asked: Ask, seconds: float = LONG) -> str:
    """Return the message of a request that must fail; it names no path and no credential."""
    try:
        with pytest.raises(OutgoingError) as caught:
            await client.fetch(asked, seconds)
    finally:
        await client.close()
    message = str(caught.value)
    assert SECRET not in message
    assert "secret-path" not in message
    assert caught.value.__cause__ is None
    return message


async def test_a_request_goes_out_as_it_was_asked_and_its_answer_comes_back():
    async with serving(always(201, b'{"id":1}', X_Kind="a")) as server:
        client = client_of(server)
        answer = await client.fetch(ask(server, "/v1/things?x=%2F&y", method="POST", body=b"\x00bytes"), LONG)
        await client.close()

    heard = server.heard[0]
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (201, b'{"id":1}', "a")
    assert (heard.method, heard.target, heard.body) == ("POST", "/v1/things?x=%2F&y", b"\x00bytes")
    assert heard.headers["authorization"] == f"Bearer {SECRET}"
    assert heard.headers["host"] == f"{HOST}:{server.port}"
    assert heard.headers["accept-encoding"] == "identity"


async def test_a_connection_is_used_again():
    async with serving(always()) as server:
        client = client_of(server)
        for _ in range(3):
            await client.fetch(ask(server), LONG)
        await client.close()

    assert (server.connections, len(server.heard)) == (1, 3)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status):
    async with serving(always(status, location="https://169.254.169.254/")) as server:
        client = client_of(server)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert (answer.status, len(server.heard)) == (status, 1)


async def test_an_address_of_this_machine_is_refused_unless_it_is_allowed():
    async with serving(always()) as server:
        told = await failure(client_of(server), ask(server, "/secret-path", private=False))

    assert told == f"{HOST}: an address of it is none that may be asked"
    assert server.connections == 0


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_what_never_may_be_asked_is_refused_even_where_private_addresses_are_allowed(address):
    async with serving(always()) as server:
        server.address = address
        told = await failure(client_of(server), ask(server))

    assert "none that may be asked" in told


async def test_one_bad_address_among_good_ones_refuses_the_host():
    async def resolve(host, port):
        return ["93.184.216.34", "127.0.0.1"]

    async with serving(always()) as server:
        told = await failure(client_of(server, resolver=resolve), ask(server, private=False))

    assert "none that may be asked" in told


async def test_a_name_is_resolved_once_and_the_connection_goes_where_that_said():
    """A rebinding name answers what is allowed when it is checked, and another address when it is connected to."""
    asked: list[str] = []

    async def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with serving(always(200, b"the checked one")) as server:
        client = client_of(server, resolver=rebinding)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert (answer.body, asked) == (b"the checked one", [HOST])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
async def test_an_address_in_the_url_is_checked_like_any_other(host):
    client = Client()

    told = await failure(client, Ask(url=f"https://{host}/"))

    assert "none that may be asked" in told or "cannot be resolved" in told


async def test_a_connection_to_a_private_address_is_not_lent_to_a_request_that_may_have_none():
    async with serving(always()) as server:
        client = client_of(server)
        await client.fetch(ask(server), LONG)
        told = await failure(client, ask(server, private=False))

    assert "none that may be asked" in told


async def test_the_next_address_is_tried_where_the_first_refuses_the_connection():
    async with serving(always()) as server:

        async def resolve(host, port):
            return ["127.0.0.9", "127.0.0.1"]  # nobody listens at the first

        client = client_of(server, resolver=resolve)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert answer.status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "ftp://api.example.com/",
        "//api.example.com/",
        "https:///path",
        "https://user:password@api.example.com/",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com/\r\nx: y",
        "https://api.example.com:99999/",
        "https://bücher.example/",
        "https://api.example.com/a b",
        "https://[fe80::1%25eth0]/",
        "nonsense",
    ],
)
async def test_a_url_that_is_not_plain_https_is_refused_before_anything_is_resolved(url):
    async def resolve(host, port):
        raise AssertionError("it was resolved")

    await failure(Client(resolver=resolve), Ask(url=url))


async def test_unencrypted_requests_go_where_private_ones_are_allowed():
    async with serving(always(200, b"plain"), tls=False) as server:
        client = client_of(server)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert answer.body == b"plain"


@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\x00", "bücher"])
async def test_a_header_that_would_be_two_is_refused(value):
    async with serving(always()) as server:
        told = await failure(client_of(server), ask(server, headers={"x-a": value}))

    assert (told, server.heard) == (f"{HOST}: a header that cannot be sent", [])


async def test_an_unknown_authority_is_refused():
    async with serving(always()) as server:
        told = await failure(client_of(server, context=ssl.create_default_context()), ask(server))

    assert told.startswith(f"{HOST}: its certificate is refused")
    assert server.heard == []


async def test_a_certificate_of_another_name_is_refused():
    async with serving(always(), names=["other.example.com"]) as server:
        told = await failure(client_of(server), ask(server))

    assert told.startswith(f"{HOST}: its certificate is refused")
    assert server.heard == []


async def test_a_server_that_speaks_no_tls_is_refused():
    async def converse(_, writer):
        writer.write(b"220 mail.example.com\r\n")
        writer.close()

    listening = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with listening, serving(always()) as server:
        server.port = listening.sockets[0].getsockname()[1]
        told = await failure(client_of(server), ask(server))

    assert told == f"{HOST}: TLS failed"


async def test_nobody_listening_is_no_connection():
    async with serving(always()) as server:
        port = server.port
    told = await failure(client_of(server), Ask(url=f"https://{HOST}:{port}/secret-path", private=True))

    assert told == f"{HOST}: no connection"


async def test_a_name_without_addresses_is_told():
    told = await failure(Client(), Ask(url="https://nowhere.invalid/secret-path"))

    assert told == "nowhere.invalid: its name cannot be resolved"


async def test_a_body_that_trickles_ends_at_the_deadline():
    ended = asyncio.Event()

    async def trickle(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        try:
            while not ended.is_set():
                writer.write(b"x")
                await writer.drain()
                await asyncio.wait([asyncio.create_task(ended.wait())], timeout=0.01)
        finally:
            ended.set()

    async with serving(trickle) as server:
        told = await failure(client_of(server), ask(server), 0.3)
        ended.set()

    assert told == f"{HOST}: no answer within 0.3 s"


async def test_a_server_that_never_answers_ends_at_the_deadline():
    async def silence(_, writer):
        await asyncio.Event().wait()

    async with serving(silence) as server:
        told = await failure(client_of(server), ask(server), 0.2)

    assert told == f"{HOST}: no answer within 0.2 s"


async def test_a_resolver_that_hangs_ends_at_the_deadline():
    async def resolve(host, port):
        await asyncio.Event().wait()
        return []

    told = await failure(Client(resolver=resolve), Ask(url="https://api.example.com/"), 0.2)

    assert told == f"{HOST}: no answer within 0.2 s"


async def test_an_answer_of_the_largest_size_is_taken():
    async with serving(always(200, b"x" * 1000)) as server:
        client = client_of(server)
        answer = await client.fetch(ask(server, max_bytes=1000), LONG)
        await client.close()

    assert len(answer.body) == 1000


async def test_an_answer_that_declares_too_much_is_not_read():
    async def boast(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n")
        await asyncio.Event().wait()

    async with serving(boast) as server:
        told = await failure(client_of(server), ask(server, max_bytes=1000))

    assert told == f"{HOST}: the answer is larger than 1000 bytes"


async def test_an_answer_that_declares_nothing_is_read_up_to_the_limit():
    sent = 0

    async def flood(_, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000

    async with serving(flood) as server:
        told = await failure(client_of(server), ask(server, max_bytes=100_000))

    assert told == f"{HOST}: the answer is larger than 100000 bytes"
    assert sent < 100 * 2**20


async def test_a_compressed_answer_is_refused_and_never_unpacked():
    bomb = gzip.compress(b"0" * 10_000_000)
    async with serving(always(200, bomb, content_encoding="gzip")) as server:
        told = await failure(client_of(server), ask(server))

    assert told == f"{HOST}: the answer is in a content coding, which was not asked for"


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, b""])
async def test_what_is_no_http_is_an_error_of_ours(garbage):
    async def mumble(_, writer):
        writer.write(garbage)
        writer.close()

    async with serving(mumble) as server:
        told = await failure(client_of(server), ask(server))

    assert told == f"{HOST}: its answer is no HTTP, or was cut off"


async def test_a_body_that_is_cut_off_is_an_error():
    async def cut(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        writer.close()

    async with serving(cut) as server:
        told = await failure(client_of(server), ask(server))

    assert told.startswith(f"{HOST}: ")


async def test_cancelled_requests_leave_room_for_the_next():
    """More than the pool holds are given up in every phase; the client must go on serving."""
    async with serving(always()) as server:
        client = client_of(server)
        for turns in range(40):
            tasks = [asyncio.create_task(client.fetch(ask(server), LONG)) for _ in range(4)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert answer.status == 200


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(always()) as server:
        client = client_of(server)
        answer = await client.fetch(ask(server), LONG)
        await client.close()

    assert answer.status == 200


async def test_nothing_of_a_request_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    async with serving(always(200, b"body of the answer", x_header="value of the answer")) as server:
        client = client_of(server)
        await client.fetch(ask(server, "/secret-path", method="POST", body=b"body of the request"), LONG)
        await client.close()

    for text in (SECRET, "secret-path", "body of", "value of"):
        assert text not in caplog.text


async def test_a_request_shows_neither_headers_nor_body():
    shown = repr(Ask(url="https://api.example.com/", headers={"authorization": SECRET}, body=SECRET.encode()))

    assert SECRET not in shown


def test_the_rig_answers_with_lengths():
    assert reply(200, b"ab").endswith(b"content-length: 2\r\n\r\nab")
