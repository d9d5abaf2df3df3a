"""What bad input gets, over real sockets: a documented answer, nothing stored, and a server that goes on."""

import gzip

import pytest

from gateway.core.compile import compile_source
from gateway.core.source import Secret, SignRequest, Source, SourceOptions
from gateway.providers import get
from tests.edge import BODY, make_source, raw_request, running_edge, signature

SIGNED = ("x-signature", signature(BODY))

# What is sent, and the status it gets.
REFUSED = [
    pytest.param(raw_request(signed=False), 401, id="no signature"),
    pytest.param(raw_request(signed=False, headers=[SIGNED, SIGNED]), 401, id="a repeated signature"),
    pytest.param(raw_request(signed=False, headers=[("x-signature", "")]), 401, id="an empty signature"),
    pytest.param(raw_request(signed=False, headers=[("x-signature", "\xff\xe4\u00f6")]), 401, id="not ascii"),
    pytest.param(raw_request(signed=False, headers=[("x-signature", SIGNED[1][:-1])]), 401, id="truncated"),
    pytest.param(raw_request(signed=False, headers=[("x-signature", "a" * 20_000)]), 401, id="oversized"),
    pytest.param(raw_request(b"", signed=False), 401, id="an empty body"),
    pytest.param(raw_request(b"x" * 1001), 413, id="too large, announced"),
    pytest.param(
        raw_request(
            b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", headers=[("transfer-encoding", "chunked")], length=False
        ),
        413,
        id="too large, chunked",
    ),
    pytest.param(raw_request(method="GET"), 405, id="a wrong method"),
    pytest.param(raw_request(method="DELETE"), 405, id="another wrong method"),
    pytest.param(raw_request(method="OPTIONS"), 405, id="a preflight"),
    pytest.param(raw_request(path="/webhooks/nobody"), 404, id="an unknown source"),
    pytest.param(raw_request(path="/webhooks/acme/"), 404, id="a trailing slash"),
    pytest.param(raw_request(path="/webhooks/"), 404, id="no source"),
    pytest.param(raw_request(path="/"), 404, id="the root"),
    pytest.param(raw_request(path="*", method="OPTIONS"), 404, id="the server itself"),
    pytest.param(raw_request(path="/webhooks/acme%00"), 404, id="a nul in the path"),
    pytest.param(raw_request(path="/webhooks/acme%0a"), 404, id="a newline in the path"),
    pytest.param(raw_request(path="/webhooks/../webhooks/acme"), 404, id="dots in the path"),
    pytest.param(raw_request(path="/webhooks/%2e%2e%2facme"), 404, id="coded dots in the path"),
    pytest.param(raw_request(path="//webhooks/acme"), 404, id="two slashes"),
    pytest.param(raw_request(path="/webhooks/%ff%fe%80"), 404, id="a path that is not utf-8"),
    pytest.param(raw_request(path="/webhooks/%zz%"), 404, id="broken percent coding"),
    pytest.param(raw_request(path="/webhooks/" + "a" * 20_000), 404, id="a very long path"),
    pytest.param(raw_request(path="/webhooks/" + "a" * 40_000), 413, id="a path longer than any head"),
    pytest.param(raw_request(path="/webhooks/acme?" + "q" * 40_000), 413, id="a query longer than any head"),
    pytest.param(raw_request(headers=[(f"x-{n}", "1") for n in range(200)]), 413, id="a flood of headers"),
    pytest.param(raw_request(headers=[("x-a", "b" * 40_000)]), 413, id="one huge header"),
    pytest.param(raw_request(headers=[("x-a", "b" * 600_000)]), 413, id="one header of many reads"),
    pytest.param(b"POST / HTTP/1.1\r\nx-a: " + b"b" * 100_000, 413, id="a header without an end"),
    pytest.param(b"POST /" + b"b" * 100_000, 413, id="a target without an end"),
    pytest.param(
        raw_request(b"0\r\nx-a: " + b"b" * 100_000, length=False, headers=[("transfer-encoding", "chunked")]),
        413,
        id="a trailer without an end",
    ),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="a tls handshake"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="http/2"),
    pytest.param(b"hello\r\n\r\n", 400, id="no http at all"),
    pytest.param(raw_request(path="/webhooks/a b"), 400, id="a space in the target"),
    pytest.param(b"POST /webhooks/\xff HTTP/1.1\r\n\r\n", 400, id="raw bytes in the target"),
    pytest.param(raw_request(headers=[("x-a", "b\x00c")]), 400, id="a nul in a header"),
    pytest.param(raw_request(headers=[("x a", "b")]), 400, id="a space in a header's name"),
    pytest.param(raw_request(headers=[("content-length", "34")]), 400, id="two lengths"),
    pytest.param(raw_request(length=False, headers=[("content-length", "-1")]), 400, id="a negative length"),
    pytest.param(raw_request(length=False, headers=[("content-length", "9" * 30)]), 400, id="an impossible length"),
    pytest.param(raw_request(headers=[("transfer-encoding", "chunked")]), 400, id="a length and chunks"),
    pytest.param(
        raw_request(b"zz\r\n", length=False, headers=[("transfer-encoding", "chunked")]), 400, id="a broken chunk"
    ),
    pytest.param(
        raw_request(b"0\r\n\r\n", length=False, headers=[("transfer-encoding", "gzip, chunked")], signed=False),
        401,
        id="a transfer coding of its own",
    ),
    pytest.param(b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n", 400, id="connect"),
]


@pytest.mark.parametrize("data,status", REFUSED)
async def test_bad_input_gets_a_documented_answer_and_nothing_is_stored(data, status):
    async with running_edge() as running:
        answer = await running.ask(data)

        assert (answer.status, answer.headers.get("gateway-delivery-id", "")[:1]) == (status, "1")
        assert running.log.stored == []
        assert (await running.ask(raw_request())).word == "accepted"


@pytest.fixture(scope="module")
def github() -> Source:
    return compile_source(get("github"), name="acme", secrets=(Secret("only", "s3cret"),), options=SourceOptions())


ODD_BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\xff\xfe\x80", id="not utf-8"),
    pytest.param(b"hello", id="not json"),
    pytest.param(b"[" * 5000 + b"]" * 5000, id="deep"),
    pytest.param(b'{"action":1,"action":2}', id="duplicate keys"),
    pytest.param(b'{"a":NaN,"b":Infinity}', id="nan"),
    pytest.param(b'\xef\xbb\xbf{"a":1}', id="a byte order mark"),
    pytest.param(b'{"a":"\\ud800"}', id="a lone surrogate"),
    pytest.param(gzip.compress(b'{"a":1}', mtime=0), id="gzip"),
]


@pytest.mark.parametrize("body", ODD_BODIES)
async def test_a_verified_body_is_kept_byte_for_byte_however_odd_it_is(github, body):
    assert github.sign is not None
    signed = github.sign(SignRequest(body=body, now_us=0, event_id="72d3162e", event_type="push"))
    request = raw_request(signed.body, signed=False, headers=list(signed.headers.items()))

    async with running_edge(github) as running:
        answer = await running.ask(request)

        assert (answer.status, answer.word) == (200, "accepted")
        assert [event.body for event in running.log.stored] == [body]


@pytest.mark.parametrize("body", ODD_BODIES)
async def test_an_odd_body_that_is_not_verified_is_just_unverified(github, body):
    async with running_edge(github) as running:
        answer = await running.ask(raw_request(body, headers=[("x-hub-signature-256", "sha256=" + "0" * 64)]))

        assert (answer.status, answer.word) == (401, "unverified")
        assert running.log.stored == []


@pytest.mark.parametrize("name", ["X-SIGNATURE", "X-Signature", "x-sIgNaTuRe"])
async def test_header_names_may_be_in_any_case(name):
    async with running_edge() as running:
        answer = await running.ask(raw_request(signed=False, headers=[(name, SIGNED[1])]))

        assert (answer.status, answer.word) == (200, "accepted")


async def test_trailers_do_not_join_the_headers():
    chunked = b"%x\r\n%s\r\n0\r\nx-signature: %s\r\n\r\n" % (len(BODY), BODY, SIGNED[1].encode())
    request = raw_request(chunked, signed=False, length=False, headers=[("transfer-encoding", "chunked")])

    async with running_edge() as running:
        assert (await running.ask(request)).status == 401


async def test_a_chunked_body_is_stored_whole():
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:7], BODY[7:])) + b"0\r\n\r\n"
    headers = [("transfer-encoding", "chunked"), SIGNED]

    async with running_edge() as running:
        answer = await running.ask(raw_request(chunks, signed=False, length=False, headers=headers))

        assert answer.word == "accepted"
        assert running.log.stored[0].body == BODY


async def test_a_large_body_within_the_cap_is_stored_whole():
    body = bytes(range(256)) * 4096

    async with running_edge(make_source(max_body=2**20)) as running:
        answer = await running.ask(raw_request(body))

        assert answer.word == "accepted"
        assert running.log.stored[0].body == body


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
async def test_an_upgrade_is_ignored_and_the_request_answered(protocol):
    request = raw_request(headers=[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", protocol)])

    async with running_edge() as running:
        peer = await running.connect()
        first = await peer.ask(request)
        await peer.send(request[:-5])
        second = await peer.ask(request[-5:])

        assert (first.word, second.word) == ("accepted", "duplicate")
        assert running.log.stored[0].body == BODY


async def test_a_sender_that_waits_to_be_asked_is_asked():
    head, _, body = raw_request(headers=[("expect", "100-continue")]).partition(b"\r\n\r\n")

    async with running_edge() as running:
        peer = await running.connect()
        asked = await peer.ask(head + b"\r\n\r\n")

        assert asked.status == 100
        assert (await peer.ask(body)).word == "accepted"


@pytest.mark.parametrize("path,status", [("/webhooks/acme", 413), ("/nowhere", 404)])
async def test_a_sender_that_waits_to_be_asked_is_refused_without_its_body(path, status):
    head, _, _ = raw_request(path=path, headers=[("expect", "100-continue")]).partition(b"\r\n\r\n")

    async with running_edge(make_source(max_body=10)) as running:
        peer = await running.connect()

        answer = await peer.ask(head + b"\r\n\r\n")

        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await peer.ended() == b""
