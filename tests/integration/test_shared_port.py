"""Several edge processes on one port: connections are shared out, and none is lost to an edge that does not accept."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

import pytest

from gateway.config.settings import ServerSettings
from gateway.core.errors import DependencyError
from gateway.process.supervisor import _bind_public
from tests.running import until

pytestmark = pytest.mark.timeout(180)

ANSWERS = 30.0

# An edge's process as far as its sockets go: it answers its own number.
EDGE = """
import asyncio, os, secrets, socket, sys
import uvloop
from gateway.process.exchange import Desk, Limits
from gateway.process.server import serve_desk

async def app(scope, receive, send):
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

def refused(reason, reply, *, client, arrival):
    return secrets.token_hex(13).encode()

async def main():
    sockets = [socket.socket(fileno=int(number)) for number in sys.argv[1:]]
    started = lambda: print("ready", flush=True)
    desk = Desk(app, Limits(idle=60.0), refused)
    await serve_desk(desk, sockets, asyncio.Event(), grace=1.0, started=started)

uvloop.run(main())
"""


@dataclass
class Edges:
    """Two edges' processes, and the port that they share; their sockets are the test's, as a supervisor's would be."""

    port: int
    sockets: Sequence[socket.socket]
    processes: list[subprocess.Popen[str]]

    def start(self, index: int) -> subprocess.Popen[str]:
        numbers = [bound.fileno() for bound in (*self.sockets[index:], *self.sockets[:index])]
        words = [sys.executable, "-c", EDGE, *map(str, numbers)]
        return subprocess.Popen(words, pass_fds=numbers, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def edges() -> Iterator[Edges]:
    with ExitStack() as held:
        sockets = [held.enter_context(bound) for bound in _bind_public(ServerSettings(port=0), 2)]
        found = Edges(sockets[0].getsockname()[1], sockets, [])
        found.processes += [found.start(index) for index in range(2)]
        for process in found.processes:
            held.enter_context(process)
            held.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield found


def ask(connection: http.client.HTTPConnection) -> int:
    """Return which process answered."""
    connection.request("POST", "/webhooks/x", body=b"{}")
    return int(connection.getresponse().read())


@contextmanager
def connections(port: int, count: int) -> Iterator[list[http.client.HTTPConnection]]:
    """Open `count` connections as nearly at once as one process can."""

    async def opened() -> list[socket.socket]:
        loop = asyncio.get_running_loop()
        clients = [socket.socket() for _ in range(count)]
        for client in clients:
            client.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await asyncio.gather(*(loop.sock_connect(client, ("127.0.0.1", port)) for client in clients))
        return clients

    with ExitStack() as held:
        found = []
        for client in asyncio.run(opened()):
            client.settimeout(ANSWERS)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERS)
            connection.sock = held.enter_context(client)
            found.append(connection)
        yield found


def accepted(bound: socket.socket) -> int:
    """Accept what waits at a socket, and hang up; return how many there were."""
    bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    count = 0
    with suppress(BlockingIOError):
        while True:
            bound.accept()[0].close()
            count += 1
    return count


def test_a_burst_of_connections_is_shared_out_before_any_edge_wakes():
    with ExitStack() as held:
        sockets = [held.enter_context(bound) for bound in _bind_public(ServerSettings(port=0), 2)]
        with connections(sockets[0].getsockname()[1], 256):
            shares = [accepted(bound) for bound in sockets]

    assert sum(shares) == 256
    assert min(shares) >= 88, "five standard deviations below the half"


def test_every_edge_answers_its_share(edges):
    with connections(edges.port, 64) as opened:
        shares = Counter(ask(connection) for connection in opened)

    assert set(shares) == {process.pid for process in edges.processes}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "standing still"])
def test_what_waits_for_an_edge_that_does_not_accept_the_other_takes(edges, number):
    gone, left = edges.processes
    gone.send_signal(number)

    with connections(edges.port, 32) as opened:
        answered = Counter(ask(connection) for connection in opened)

    assert answered == {left.pid: 32}


def test_a_new_edge_in_the_place_of_a_dead_one_serves_its_socket_again(edges):
    edges.processes[0].kill()
    edges.processes[0].wait()
    with edges.start(0) as successor:
        try:
            assert successor.stdout is not None
            assert successor.stdout.readline() == "ready\n"
            with connections(edges.port, 128) as opened:
                shares = Counter(ask(connection) for connection in opened)
        finally:
            successor.kill()

    assert shares[successor.pid] > 0


class Sender(threading.Thread):
    """Sends one delivery after the other, a few over each connection, and repeats what was cut off."""

    def __init__(self, port: int, stop: threading.Event) -> None:
        super().__init__()
        self.port = port
        self.stop = stop
        self.answered = 0
        self.cut = 0
        self.refused = 0

    def run(self) -> None:
        while not self.stop.is_set():
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERS)) as connection:
                self._few(connection)

    def _few(self, connection: http.client.HTTPConnection) -> None:
        try:
            for _ in range(5):
                ask(connection)
                self.answered += 1
        except ConnectionRefusedError:
            self.refused += 1
        except (ConnectionError, http.client.HTTPException):
            self.cut += 1  # it was being answered by the edge that died


def test_an_edge_killed_under_load_cuts_what_it_was_answering_and_nothing_else(edges):
    stop = threading.Event()
    senders = [Sender(edges.port, stop) for _ in range(16)]
    for sender in senders:
        sender.start()
    until(lambda: sum(sender.answered for sender in senders) > 200)

    edges.processes[0].kill()
    at_the_kill = [sender.answered for sender in senders]
    until(lambda: all(now.answered > then + 5 for now, then in zip(senders, at_the_kill, strict=True)))
    stop.set()
    for sender in senders:
        sender.join(ANSWERS)

    assert not any(sender.is_alive() for sender in senders)
    assert sum(sender.refused for sender in senders) == 0
    assert max(sender.cut for sender in senders) <= 1


@pytest.mark.parametrize("others", [1, 2])
def test_a_port_that_several_edges_share_is_not_shared_with_another_gateway(edges, others):
    with pytest.raises(DependencyError, match=r"cannot listen on .* set server\.port"):
        _bind_public(ServerSettings(port=edges.port), others)
