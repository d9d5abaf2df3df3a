"""The proxy that breaks connections: each of its modes, against a server that answers every line with itself."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.running import until
from tests.tcp_proxy import FETCH, PRODUCE, Frames, TcpProxy

BRIEF = 0.3


class Echo(socketserver.ThreadingTCPServer):
    """Answers every line with itself, on each connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoLines)
        self.heard: list[bytes] = []


class EchoLines(socketserver.StreamRequestHandler):
    server: Echo

    def handle(self) -> None:
        for line in self.rfile:
            self.server.heard.append(line)
            self.wfile.write(line)


class Client:
    """A connection that sends lines and reads what comes back."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)

    def ask(self, line: bytes, *, within: float = 30.0) -> bytes:
        """Return the answer; b"" if the connection was cut.

        Raises:
            TimeoutError: neither came in time.
        """
        self.socket.settimeout(within)
        try:
            self.socket.sendall(line)
            return self.socket.recv(1000)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.server_address[1]) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: TcpProxy) -> Iterator[Client]:
    with closing(Client(proxy)) as client:
        assert client.ask(b"first\n") == b"first\n"
        yield client


def test_it_passes_on_what_it_hears(proxy, client, echo):
    assert client.ask(b"x" * 100_000 + b"\n")[:1] == b"x"
    assert (proxy.connections, proxy.accepted, proxy.cuts) == (1, 1, 0)


def test_a_delayed_answer_comes_later(proxy, client):
    proxy.delay(0.2)
    begun = time.monotonic()

    assert client.ask(b"slow\n") == b"slow\n"
    assert time.monotonic() - begun >= 0.4, "each way"


def test_what_is_swallowed_never_arrives(proxy, client, echo):
    proxy.swallow()

    for one in (client, Client(proxy)):
        with pytest.raises(TimeoutError):
            one.ask(b"lost\n", within=BRIEF)
        one.close()
    assert echo.heard == [b"first\n"]


def test_swallowed_answers_are_of_requests_that_were_heard(proxy, client, echo):
    proxy.swallow_answers()

    with pytest.raises(TimeoutError):
        client.ask(b"heard\n", within=BRIEF)

    until(lambda: echo.heard == [b"first\n", b"heard\n"])


def test_a_connection_that_lost_something_does_not_go_on(proxy, client):
    proxy.swallow()
    with pytest.raises(TimeoutError):
        client.ask(b"lost\n", within=BRIEF)

    proxy.pass_on()

    assert client.ask(b"more\n") == b""
    with closing(Client(proxy)) as other:
        assert other.ask(b"new\n") == b"new\n"


def test_a_refusing_proxy_is_as_a_host_without_the_server(proxy, client):
    proxy.refuse()

    assert client.ask(b"more\n") == b""
    with pytest.raises(ConnectionRefusedError):
        Client(proxy)

    proxy.pass_on()
    with closing(Client(proxy)) as other:
        assert other.ask(b"new\n") == b"new\n"


def test_a_cut_leaves_the_way_open(proxy, client):
    proxy.cut()

    assert client.ask(b"more\n") == b""
    with closing(Client(proxy)) as other:
        assert other.ask(b"new\n") == b"new\n"


def test_it_cuts_after_so_many_bytes_of_answers_and_once(proxy, client, echo):
    proxy.cut_after(4)

    assert client.ask(b"sec\n") == b"sec\n"
    assert client.ask(b"third\n") == b""
    assert echo.heard[-1] == b"third\n", "the server had the request"
    with closing(Client(proxy)) as other:
        assert other.ask(b"new\n") == b"new\n"
    assert proxy.cuts == 1


def test_it_cuts_within_an_answer(proxy, client):
    proxy.cut_after(2)

    assert client.ask(b"answer\n") == b"an"
    assert client.ask(b"more\n") == b""


def test_a_server_that_is_gone_cuts_its_clients(echo):
    with TcpProxy(1) as proxy, closing(Client(proxy)) as client:
        assert client.ask(b"hello\n") == b""


def frame(api_key: int, correlation: int, body: bytes = b"") -> bytes:
    head = api_key.to_bytes(2) + b"\0\0" + correlation.to_bytes(4)
    return (len(head) + len(body)).to_bytes(4) + head + body


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_are_found_in_pieces_of_any_size(size):
    stream = frame(PRODUCE, 7, b"x" * 30) + frame(FETCH, 8) + frame(PRODUCE, 9, b"\n")
    frames = Frames(8)

    found = [head for at in range(0, len(stream), size) for head in frames.feed(stream[at : at + size])]

    assert [(head[1], head[7]) for head in found] == [(PRODUCE, 7), (FETCH, 8), (PRODUCE, 9)]
