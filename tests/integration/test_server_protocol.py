"""The server: deadlines, caps, order of answers, turning away, drain; and a canary for uvicorn's internals."""

import asyncio
import functools
import gc
import inspect
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httptools
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from gateway.config.settings import ServerSettings, TlsSettings
from gateway.core.errors import ConfigError
from gateway.process.exchange import Limits
from gateway.process.protocol import GatewayProtocol
from gateway.process.server import tls_context
from tests.edge import BODY, DecidedLog, Peer, RunningEdge, make_source, raw_request, running_edge, until

QUICK = make_source(deadline=0.3)
HALVES = [
    pytest.param(b"POST /webh", id="half a request line"),
    pytest.param(b"POST /webhooks/acme HTTP/1.1\r\nhost: te", id="half a header"),
    pytest.param(b"POST /webhooks/acme HTTP/1.1\r\nhost: test\r\n", id="half a head"),
    pytest.param(raw_request()[:-10], id="half a body"),
    pytest.param(raw_request()[: -len(BODY)], id="no body"),
    pytest.param(raw_request(b"5\r\nab", length=False, headers=[("transfer-encoding", "chunked")]), id="half a chunk"),
]


@pytest.mark.parametrize("half", HALVES)
async def test_half_a_request_is_answered_503_at_the_deadline_and_its_connection_closed(half):
    async with running_edge(QUICK) as running:
        peer = await running.connect()
        answer = await peer.ask(half)

        assert (answer.status, answer.word, answer.headers["connection"]) == (503, "unavailable", "close")
        assert await peer.ended() == b""
        assert running.log.stored == []


async def test_a_byte_now_and_then_does_not_move_the_deadline():
    async with running_edge(QUICK) as running:
        peer = await running.connect()
        answering = asyncio.create_task(peer.response())
        for byte in raw_request(headers=[("x-pad", "a" * 10_000)]):
            await peer.send(bytes([byte]))
            if answering.done():
                break
            await asyncio.sleep(0.001)

        assert (await answering).status == 503


async def test_a_connection_that_says_nothing_is_closed(monkeypatch):
    monkeypatch.setattr("gateway.process.server.Limits", quick_limits(idle=0.1))
    async with running_edge() as running:
        silent, blank = await running.connect(), await running.connect()
        await blank.send(b"\r\n")

        assert await silent.ended() == b""
        assert await blank.ended() == b""


def quick_limits(**over: float) -> Callable[..., object]:
    return lambda **given: Limits(**(given | over))


async def test_slow_senders_by_the_hundred_do_not_delay_a_fast_one():
    async with running_edge() as running:
        slow = [await running.connect() for _ in range(300)]
        for peer in slow:
            await peer.send(raw_request()[:-1])
        await until(lambda: running.edge.inflight == 300)

        fast = await running.connect()
        answers = [await fast.ask(raw_request(headers=[("x-id", str(number))])) for number in range(20)]

        assert {answer.status for answer in answers} == {200}
        assert running.edge.inflight == 300


async def test_more_connections_than_allowed_are_told_503_and_nobody_else_suffers():
    settings = ServerSettings(max_connections=3, drain=1.0)
    async with running_edge(settings=settings) as running:
        held = [await running.connect() for _ in range(3)]
        for peer in held:
            await peer.ask(raw_request())

        turned_away = await running.connect()
        answer = await turned_away.response()

        assert (answer.status, answer.word, int(answer.headers["retry-after"]) > 0) == (503, "unavailable", True)
        assert await turned_away.ended() == b""
        assert (await held[0].ask(raw_request())).word == "duplicate"
        assert running.counts["unknown", "refused", "overloaded"] == 1


async def test_garbage_behind_a_request_is_refused_after_its_answer_and_not_before():
    log = DecidedLog(automatic=False)
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request() + b"\x00garbage\r\n\r\n")
        await until(lambda: log.undecided)

        log.store()

        assert (await peer.response()).word == "accepted"
        assert (await peer.response()).word == "malformed"
        assert await peer.ended() == b""


async def test_garbage_in_a_body_ends_the_request_it_is_in():
    request = raw_request(b"5\r\nabcde\r\n", length=False, headers=[("transfer-encoding", "chunked")])
    async with running_edge() as running:
        peer = await running.connect()
        await peer.send(request)
        await until(lambda: running.edge.inflight == 1)

        assert (await peer.ask(b"nonsense\r\n")).word == "malformed"
        assert await peer.ended() == b""
        await until(lambda: running.edge.inflight == 0)


async def test_a_pipeline_has_an_end():
    log = DecidedLog(automatic=False)
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request() + raw_request(path="/nowhere") * 100)
        await until(lambda: log.undecided)

        log.store()
        answers = [await peer.response() for _ in range(18)]

        assert [answer.status for answer in answers] == [200] + [404] * 16 + [503]
        assert await peer.ended() == b""


async def test_a_head_that_fits_exactly_is_taken_and_one_byte_more_is_not():
    def request(pad: int) -> bytes:
        return raw_request(headers=[("x-pad", "a" * pad)])

    lines = request(0).partition(b"\r\n\r\n")[0].split(b"\r\n")
    used = len(b"/webhooks/acme") + sum(len(line) - len(b": ") for line in lines[1:])

    async with running_edge() as running:
        assert (await running.ask(request(32 * 2**10 - used))).status == 200
        assert (await running.ask(request(32 * 2**10 - used + 1))).status == 413


async def test_a_pipelined_head_is_measured_like_any_other():
    async with running_edge() as running:
        peer = await running.connect()
        await peer.send(raw_request() + raw_request(headers=[("x-pad", "a" * 33_000)]))

        assert (await peer.response()).status == 200
        assert (await peer.response()).status == 413


async def test_a_sender_of_too_much_reads_its_answer_before_the_connection_ends():
    async with running_edge() as running:
        peer = await running.connect()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]

        await peer.send(raw_request(b"x" * 5_000_000))
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]

        assert (await peer.response()).status == 413


async def test_a_connection_is_kept_for_the_next_request_after_a_refusal():
    async with running_edge() as running:
        peer = await running.connect()

        first = await peer.ask(raw_request(path="/nowhere"))
        second = await peer.ask(raw_request(signed=False))
        third = await peer.ask(raw_request())

        assert [answer.status for answer in (first, second, third)] == [404, 401, 200]
        assert "connection" not in third.headers


@pytest.mark.parametrize("version,header", [("1.0", ""), ("1.1", "connection: close\r\n")])
async def test_a_sender_that_wants_no_more_is_let_go(version, header):
    request = f"POST /nowhere HTTP/{version}\r\n{header}content-length: 0\r\n\r\n".encode()
    async with running_edge() as running:
        peer = await running.connect()
        answer = await peer.ask(request)

        assert (answer.status, answer.headers["connection"]) == (404, "close")
        assert await peer.ended() == b""


async def test_a_sender_that_closes_its_half_still_gets_its_answer():
    log = DecidedLog(automatic=False)
    async with running_edge(log=log) as running:
        peer = await running.connect()
        await peer.send(raw_request())
        peer.writer.write_eof()
        await until(lambda: log.undecided)

        log.store()

        assert (await peer.response()).word == "accepted"
        assert await peer.ended() == b""


async def test_a_drain_answers_what_is_in_flight_and_closes_what_is_idle():
    log = DecidedLog(automatic=False)
    async with running_edge(log=log, settings=ServerSettings(drain=10.0)) as running:
        idle, busy, halfway = [await running.connect() for _ in range(3)]
        await idle.ask(raw_request(path="/nowhere"))
        await busy.send(raw_request(headers=[("x-id", "busy")]))
        await halfway.send(raw_request(headers=[("x-id", "half")])[:-3])
        await until(lambda: log.undecided and running.edge.inflight == 2)

        running.drain.set()

        assert await idle.ended() == b""
        await halfway.send(BODY[-3:])
        await until(lambda: len(log.undecided) == 2)
        log.store()
        answers = [await peer.response() for peer in (busy, halfway)]
        assert [(answer.word, answer.headers["connection"]) for answer in answers] == [("accepted", "close")] * 2
        await asyncio.wait_for(running.ended, 10)
        with pytest.raises(OSError):
            await running.connect()


async def test_a_drain_ends_in_its_time_whatever_is_still_open():
    log = DecidedLog(automatic=False)
    async with running_edge(make_source(deadline=60.0), log=log, settings=ServerSettings(drain=0.2)) as running:
        peer = await running.connect()
        await peer.send(raw_request())
        await until(lambda: log.undecided)

        running.drain.set()

        await asyncio.wait_for(running.ended, 10)
        assert await peer.ended() == b""


async def flood(running: RunningEdge, peer: Peer) -> None:
    """Send on and on without reading, never more at once than a pipeline may hold, until cut off."""
    transport = peer.writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]

    def answered_or_cut(count: int) -> bool:
        peer.writer.write(b"\r\n")
        return running.counts["unknown", "refused", "unknown_source"] >= count or transport.is_closing()

    for batch in range(1, 2_000):
        peer.writer.write(raw_request(path="/nowhere") * 10)
        await until(functools.partial(answered_or_cut, batch * 10))
        if transport.is_closing():
            return


async def test_a_peer_that_never_reads_is_cut_off():
    async with running_edge() as running:
        peer = await running.connect()

        await flood(running, peer)

        assert peer.writer.transport.is_closing()


async def test_the_arrival_is_the_first_bytes_and_not_the_last_ones():
    async with running_edge() as running:
        peer = await running.connect()
        before = time.time_ns() // 1000
        await peer.send(raw_request()[:20])
        await until(lambda: has_begun(running))
        between = time.time_ns() // 1000

        await peer.ask(raw_request()[20:])

        assert before <= running.log.stored[0].received_us <= between


def has_begun(running: RunningEdge) -> bool:
    return any(
        isinstance(found, GatewayProtocol) and found._in_message and found.received_us for found in gc.get_objects()
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return TlsSettings(cert=folder / "cert.pem", key=folder / "key.pem")


async def test_requests_over_tls_are_answered_and_half_ones_closed(tls):
    trusting = ssl.create_default_context(cafile=str(tls.cert))
    trusting.check_hostname = False

    async with running_edge(QUICK, settings=ServerSettings(tls=tls, drain=1.0)) as running:
        whole, half = [Peer(*await asyncio.open_connection("127.0.0.1", running.port, ssl=trusting)) for _ in range(2)]
        running.peers += [whole, half]

        assert (await whole.ask(raw_request())).word == "accepted"
        assert (await half.ask(raw_request()[:-3])).status == 503
        assert await half.ended() == b""


async def test_what_waits_at_another_edges_socket_is_answered_over_tls_and_garbage_there_harms_nobody(tls):
    trusting = ssl.create_default_context(cafile=str(tls.cert))
    trusting.check_hostname = False

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with running_edge(QUICK, settings=ServerSettings(tls=tls, drain=1.0), others=[other]) as running:
            garbage = Peer(*await asyncio.open_connection("127.0.0.1", port))
            garbage.writer.write(b"no handshake\r\n\r\n")
            waiting = Peer(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting))
            running.peers += [garbage, waiting]

            assert (await waiting.ask(raw_request())).word == "accepted"


def test_a_certificate_that_cannot_be_used_is_a_configuration_error(tls, tmp_path):
    (tmp_path / "key.pem").write_text("no key")

    with pytest.raises(ConfigError, match=r"server\.tls"):
        tls_context(TlsSettings(cert=tls.cert, key=tmp_path / "key.pem"))


def test_the_canary_uvicorns_internals_are_those_the_protocol_was_written_against():
    assert uvicorn.__version__ == "0.54.0"
    protocol, cycle = httptools_impl.HttpToolsProtocol, httptools_impl.RequestResponseCycle
    assert list(inspect.signature(protocol.__init__).parameters) == [
        "self",
        "config",
        "server_state",
        "app_state",
        "_loop",
    ]
    assert list(inspect.signature(cycle.__init__).parameters) == [
        "self",
        "scope",
        "transport",
        "flow",
        "logger",
        "access_logger",
        "access_log",
        "default_headers",
        "message_event",
        "expect_100_continue",
        "keep_alive",
        "on_response",
    ]
    names = set(protocol.__init__.__code__.co_names) | set(cycle.__init__.__code__.co_names)
    assert {
        *("parser", "connections", "tasks", "transport", "flow", "client", "scheme", "pipeline"),
        *("headers", "expect_100_continue", "cycle", "waiting_for_100_continue"),
        *("disconnected", "message_event", "response_started", "response_complete", "more_body", "keep_alive"),
    } <= names
    overridden = {name for name in vars(GatewayProtocol) if not name.startswith("__") and hasattr(protocol, name)}
    assert overridden == {
        *("connection_made", "connection_lost", "eof_received", "data_received", "shutdown"),
        *("on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
        "on_response_complete",
    }
    assert {"connections", "tasks"} <= set(vars(ServerState()))
    assert issubclass(httptools.HttpParserCallbackError, httptools.HttpParserError)
    assert not issubclass(httptools.HttpParserUpgrade, httptools.HttpParserError)
