"""Somebody with a fresh copy of the tree and two terminals."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.terminal import Terminal
from tests.conftest import missing
from tests.readme import README
from tests.running import free_port

ROOT = README.parent
SHIPPED_PORTS = (8080, 8081)


@dataclass
class User:
    """Somebody with a fresh clone and two terminals."""

    clone: Path
    ports: tuple[int, int]
    scratch: Path
    first: Terminal
    second: Terminal

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def on_free_ports(self, config: Path) -> None:
        """Write other ports into a configuration, if somebody has README's."""
        text = config.read_text()
        for shipped, port in zip(SHIPPED_PORTS, self.ports, strict=True):
            text = text.replace(f"port: {shipped}", f"port: {port}")
        config.write_text(text)


def ports() -> tuple[int, int]:
    """Return README's ports, or free ones if another program has them."""
    for port in SHIPPED_PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                chosen = free_port(), free_port()
                print(f"port {port} is in use: README's story is told on {chosen}")  # noqa: T201 - shown on failure
                return chosen
    return SHIPPED_PORTS


@contextmanager
def newcomer(tmp_path: Path) -> Iterator[User]:
    if not (ROOT / ".venv/.run").exists():
        missing(".venv as `make` sets it up", "run `make test`")
    clone = tmp_path / "clone"
    ignored = (line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines())
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", *ignored))
    (clone / ".venv").symlink_to(ROOT / ".venv")
    if (ROOT / ".cache").exists():
        (clone / ".cache").symlink_to(ROOT / ".cache")
    for path in clone.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))  # older than the stamps in .venv: make has nothing to install
    chosen = ports()
    environ = {"GATEWAY_PORT": str(chosen[0]), "GATEWAY_ADMIN_PORT": str(chosen[1])} if chosen != SHIPPED_PORTS else {}
    scratches = tmp_path / "one", tmp_path / "two"
    for scratch in scratches:
        scratch.mkdir()
    first, second = (Terminal(clone, scratch, environ) for scratch in scratches)
    try:
        yield User(clone, chosen, tmp_path, first, second)
    finally:
        first.close()
        second.close()
