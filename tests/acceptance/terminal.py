"""A user's terminal: commands one after another, `cd`, `export` and `source` included, and one in the foreground."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.running import until

_UNWANTED = ("GATEWAY_", "STRIPE_", "GITHUB_", "ACME_", "VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS", "PYTEST", "NO_COLOR")


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    def value(self, field: str) -> str:
        """Return a field of a printed item."""
        found = re.search(rf"^{field}\s+(.*)$", self.out, re.MULTILINE)
        assert found, self
        return found[1]

    def column(self, name: str) -> list[str]:
        """Return a column of a printed table."""
        header, *rows = (re.split(r"\s{2,}", line.strip()) for line in self.out.splitlines())
        return [row[header.index(name)] for row in rows]


class Foreground:
    """A command that keeps running, in a session of its own as a terminal gives it."""

    def __init__(self, command: str, cwd: Path, environ: Mapping[str, str], output: Path) -> None:
        self._output = output
        with output.open("wb") as target:
            self._process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=target,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str) -> str:
        """Wait until it has printed `text`; return all it printed."""

        def printed() -> bool:
            said = text in self.text
            assert said or self._process.poll() is None, f"it ended before it said {text!r}:\n{self.text}"
            return said

        until(printed, deadline=60.0, what=f"{text!r} in the output")
        return self.text

    def ctrl_c(self) -> int:
        """Interrupt all that runs in the foreground, as a terminal does; return the exit status."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(60)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


class Terminal:
    """Remembers its directory and its environment from one command to the next."""

    def __init__(self, cwd: Path, scratch: Path, environ: Mapping[str, str] | None = None) -> None:
        self.cwd = cwd
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)} | dict(
            environ or {}
        )
        self._scratch = scratch
        self._started: list[Foreground] = []

    def __call__(self, command: str) -> Said:
        """Run one command to its end."""
        state = self._scratch / "terminal"
        script = f"{command}\nstatus=$?; env -0 > '{state}.env'; pwd > '{state}.cwd'; exit $status"
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=self.cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        pairs = Path(f"{state}.env").read_text().split("\0")
        self.environ = dict(pair.split("=", 1) for pair in pairs if pair)
        self.cwd = Path(Path(f"{state}.cwd").read_text().rstrip("\n"))
        return Said(ran.returncode, ran.stdout, ran.stderr)

    def ok(self, command: str) -> Said:
        """Run one command, which must succeed."""
        said = self(command)
        assert said.status == 0, f"{command}\n{said.out}\n{said.err}"
        return said

    def start(self, command: str) -> Foreground:
        """Start one that keeps running."""
        output = self._scratch / f"foreground-{len(self._started)}.log"
        started = Foreground(command, self.cwd, self.environ, output)
        self._started.append(started)
        return started

    def close(self) -> None:
        """End what was started, whatever the test did."""
        for started in self._started:
            started.end()
