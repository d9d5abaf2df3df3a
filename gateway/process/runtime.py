"""Where the processes of one gateway meet: unix sockets in a private folder, found from the log's path alone."""

import hashlib
import os
import tempfile
from pathlib import Path

from gateway.core.errors import DependencyError

# A unix socket's path holds 108 bytes on Linux, 104 on macOS, the closing NUL included.
_LONGEST = 100
_LONGEST_NAME = 40


def runtime_folder(log_path: Path) -> Path:
    """Return the folder of this log's sockets: `run` beside the log, or a private temporary one if that is too long."""
    beside = log_path.resolve() / "run"
    if len(os.fsencode(beside)) + 1 + _LONGEST_NAME <= _LONGEST:
        return beside
    digest = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gateway-{os.getuid()}-{digest}"


def make_runtime_folder(log_path: Path) -> Path:
    """Create the log's folder and this one, for this user alone.

    Raises:
        DependencyError: somebody else owns it, or it cannot be made.
    """
    folder = runtime_folder(log_path)
    try:
        log_path.mkdir(mode=0o700, parents=True, exist_ok=True)  # bodies are nobody else's business
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.lstat().st_uid != os.getuid():  # of the link itself: anyone can put one into a temporary folder
            raise DependencyError(f"{folder} belongs to another user; set log.path to a folder of your own")
        folder.chmod(0o700)
    except OSError as error:
        raise DependencyError(
            f"cannot use the folder {log_path} ({error.strerror}); make it writable, or change log.path"
        ) from error
    return folder


def control_path(log_path: Path, process: str) -> Path:
    """Return the control socket of a process: `edge`, `edge:<number>`, `worker:<router>` or `indexer`."""
    return runtime_folder(log_path) / _named(process.replace(":", "-"), ".sock")


def wake_path(log_path: Path, router: str) -> Path:
    """Return the datagram socket on which a router's worker is told of new events."""
    return runtime_folder(log_path) / _named(router, ".wake")


def _named(name: str, ending: str) -> str:
    if len(name) + len(ending) <= _LONGEST_NAME:
        return name + ending
    return hashlib.sha256(name.encode()).hexdigest()[:16] + ending
