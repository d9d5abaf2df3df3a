# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""Servers of ours as child processes: each in a group of its own, none left behind, whatever happens to us."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Linux counts the death of the thread that started a child, so one thread that lives as long as we do starts them all.
_STARTER = ThreadPoolExecutor(1, "starter")
# Runs before the server itself: gives up root, then asks to die with us (which a change of user would undo).
_LAUNCHER = """
import ctypes, os, sys
parent, user, group, *command = sys.argv[1:]
if user != "-":
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
os.execvp(command[0], command)
"""
_BELOW_EPHEMERAL = (20_000, 32_000)


class ServerError(Exception):
    """A server did not start; the message ends with the last lines of what it wrote."""


class Server:
    """One process that serves. `user` is (uid, gid) to run as, None for our own; its output is appended to `output`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: Path,
        user: tuple[int, int] | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.output = output
        self._command = list(command)
        self._user = user
        self._environ = environ or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process.

        Raises:
            ServerError: it does not run.
        """
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self._command[0]} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool], *, deadline: float) -> None:
        """Start, and return once `ready` says so.

        Raises:
            ServerError: the process ended, or `deadline` seconds passed; it does not run then.
        """
        self._process = _STARTER.submit(self._spawn).result()
        try:
            until(lambda: not self.running or ready(), deadline=deadline)
        except TimeoutError:
            self.kill()
            raise ServerError(self._failure(f"was not ready within {deadline:g} s")) from None
        if not self.running:
            raise ServerError(self._failure(f"ended with status {self._process.returncode}"))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGTERM, *, deadline: float) -> None:
        """Ask for an orderly end, and after `deadline` seconds enforce it."""
        if self._process is None:
            return
        self.send(how)
        self.send(signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(deadline)
        self.kill()

    def kill(self) -> None:
        """End the process and all it started, at once."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - our own command, no shell
                with_us(self._command, user=self._user),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self._environ},
                start_new_session=True,
            )

    def _failure(self, what: str) -> str:
        written = self.output.read_text(errors="replace")[-4000:]
        return f"{Path(self._command[0]).name} {what}; from {self.output}:\n{written}"


def freeze(pid: int) -> None:
    """Stop a process, and return once all its threads have stopped: a signal takes a moment."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: all(state in "TtZX" for state in _states(pid)), deadline=30.0)


def thaw(pid: int) -> None:
    """Let a stopped process go on."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> list[str]:
    """Return the state letter of each thread; none where the system does not tell."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            found.append(task.read_text().rpartition(")")[2].split()[0])
    return found


def with_us(command: Sequence[str], *, user: tuple[int, int] | None = None) -> list[str]:
    """Return a command that runs this one, as that user, and has it killed when the thread that starts it ends."""
    who = [str(number) for number in user] if user else ["-", "-"]
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *who, *command]


def until(check: Callable[[], T], *, deadline: float) -> T:
    """Return the first true value of `check`.

    Raises:
        TimeoutError: there was none for `deadline` seconds.
    """
    ends = time.monotonic() + deadline
    while not (value := check()):
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.02)
    return value


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that no one listens on, below those that the system gives to outgoing connections.

    A server that is down for a while thus finds its port again.
    """
    found: list[int] = []
    start, end = _BELOW_EPHEMERAL
    while len(found) < count:
        port = start + int.from_bytes(os.urandom(4)) % (end - start)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found += [port] if port not in found else []
    return found
