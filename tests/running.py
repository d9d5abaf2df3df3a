"""A real gateway for tests: `gateway run` in a folder of its own, with its processes at hand to be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw

from deploy.local.processes import free_ports
from gateway.core.errors import GatewayError
from gateway.process.control import ControlClient
from gateway.process.runtime import control_path
from tests.sender import GITHUB_SECRET, STRIPE_SECRET

T = TypeVar("T")

LEDGER = """
from gateway import Context, Event, Router

router = Router("ledger", schema="create table if not exists effect (id text, attempt integer)")


@router.on("*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    row = {"id": event.id, "attempt": ctx.attempt}
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", row)
"""

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
sources:
  stripe: {{provider: stripe, secrets: [{{env: TEST_STRIPE_SECRET}}]}}
  github: {{provider: github, secrets: [{{env: TEST_GITHUB_SECRET}}]}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
"""


def free_port() -> int:
    return free_ports(1)[0]


def until(check: Callable[[], T], *, deadline: float = 30.0, what: str = "the condition") -> T:
    """Return the first true value of `check`, or fail after `deadline` seconds."""
    ends = time.monotonic() + deadline
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come true within {deadline} s; last seen: {value!r}")
        time.sleep(0.02)


class RunningGateway:
    """`gateway run` on a configuration, in `folder`."""

    def __init__(
        self, folder: Path, *, config: str = CONFIG, handlers: dict[str, str] | None = None, words: str = "run"
    ) -> None:
        self.folder = folder
        self.words = words
        self.port, self.admin_port = free_port(), free_port()
        self.log_path = folder / "var"
        (folder / "gateway.yaml").write_text(config.format(port=self.port, admin_port=self.admin_port))
        for name, text in (handlers or {"ledger_handlers": LEDGER}).items():
            (folder / f"{name}.py").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder / "output.log"

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one gateway command beside the running one."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *, wait: bool = True) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *self.words.split(), "--config", "gateway.yaml"],
                cwd=self.folder,
                env=self._environ(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if wait:
            until(self.ready, what="readiness")

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        with contextlib.suppress(OSError):
            working = self.words.startswith("serve") or self.pid("worker:ledger") is not None
            return self.admin("/readyz")[0] == 200 and working
        return False

    def admin(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def control(self, process: str, op: str, **arguments: Any) -> Any:
        return ControlClient(control_path(self.log_path, process), deadline=10).call(op, **arguments)

    def pid(self, process: str) -> int | None:
        try:
            return int(self.control(process, "ping")["pid"])
        except GatewayError:
            return None

    def kill(self, process: str) -> None:
        """SIGKILL one process: `edge`, `worker:<router>`, `supervisor`, ...; nothing if it is dead just now."""
        pid = self.process.pid if process == "supervisor" and self.process else self.pid(process)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self, *, deadline: float = 40.0) -> int:
        """SIGTERM, and wait for the orderly end; return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(deadline)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def stored_ids(self) -> list[str]:
        return [
            str(row[0]) for row in self._read(self.log_path / "events.db", "select event_id from event order by seq")
        ]

    def effects(self, router: str = "ledger") -> list[str]:
        return [str(row[0]) for row in self._read(self.log_path / "state" / f"{router}.db", "select id from effect")]

    def _read(self, path: Path, sql: str) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "TEST_STRIPE_SECRET": STRIPE_SECRET, "TEST_GITHUB_SECRET": GITHUB_SECRET}


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[RunningGateway]:
    """Start a gateway, and end it whatever happens; its output is shown when the test fails."""
    gateway = RunningGateway(folder, **options)
    try:
        gateway.start()
        yield gateway
    except BaseException:
        if gateway.output.exists():
            print(gateway.output.read_text()[-8000:])  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        gateway.end()
