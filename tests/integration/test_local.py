"""`make run-kafka`: a broker, a database and the gateway in one command, and all of it ended by one Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from deploy.local.processes import free_ports
from tests.running import until

ROOT = Path(__file__).parents[2]


class Local:
    """The command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output.log"
        self.port, self.admin_port = free_ports(2)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environ: str) -> None:
        ports = {"GATEWAY_PORT": str(self.port), "GATEWAY_ADMIN_PORT": str(self.admin_port)}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local", "--config", str(ROOT / "config/gateway.kafka.yaml")],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **ports, **environ},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5):
            return True
        return False

    def told(self, name: str) -> str:
        """Return what other terminals are told to set."""
        found = re.search(rf"\b{name}=(\S+)", self.output.read_text())
        assert found, self.output.read_text()
        return found[1]

    def interrupt(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def local() -> Iterator[Local]:
    with tempfile.TemporaryDirectory(prefix="gateway-local-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # Postgres may run as another user than we do
        local = Local(folder)
        try:
            yield local
        finally:
            local.end()


def test_one_command_runs_all_and_one_interrupt_ends_it(kafka, postgres, local):
    local.start()
    until(local.ready, deadline=110, what="readiness")
    broker, dsn = local.told("KAFKA_BOOTSTRAP"), local.told("DATABASE_URL")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from gateway.mark").fetchone() == (0,)

    assert local.interrupt() == 0, local.output.read_text()

    host, port = broker.split(":")
    for address in ((host, int(port)), ("127.0.0.1", local.port), ("127.0.0.1", local.admin_port)):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
    assert not (local.folder / "var/kafka-dev/postgres/data/postmaster.pid").exists(), "it did not end in order"


def test_what_a_machine_lacks_is_said_with_the_remedy(local):
    local.start(PATH=str(local.folder))
    assert local.process is not None

    assert local.process.wait(60) == 3
    assert "Java is missing" in local.output.read_text()
    assert "apt install" in local.output.read_text()
