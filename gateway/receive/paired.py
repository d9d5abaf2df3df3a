"""Secrets that a provider sent while its source was open for pairing: one file for each source, for this user alone.

The file holds the secret and nothing else, so that another machine's configuration can name a copy of it.
"""

from pathlib import Path
from typing import NamedTuple

from gateway.receive.files import locked, read_small, replace_durably

FOLDER = "paired"
LABEL = "paired"
LONGEST = 4_096


class Stamp(NamedTuple):
    """What tells one state of a file from another."""

    inode: int
    changed_ns: int
    size: int


def secret_path(folder: Path, source: str) -> Path:
    """Return where a source's secret is, below the log's folder."""
    return folder / FOLDER / source


def stamp_of(folder: Path, source: str) -> Stamp | None:
    """Return the state of a source's file, None if there is none.

    Raises:
        OSError: nobody can tell.
    """
    try:
        found = secret_path(folder, source).stat()
    except FileNotFoundError:
        return None
    return Stamp(found.st_ino, found.st_mtime_ns, found.st_size)


def read_secret(folder: Path, source: str) -> str | None:
    """Return a source's secret, None if it was never paired.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none.
    """
    try:
        text = read_small(secret_path(folder, source), most=LONGEST).decode().rstrip("\r\n")
    except FileNotFoundError:
        return None
    if not is_secret(text):
        raise ValueError("the file holds no secret")
    return text


def is_secret(text: str) -> bool:
    """Return whether this could be a secret: printable ASCII, and neither empty nor endless."""
    return 0 < len(text) <= LONGEST and text.isascii() and text.isprintable() and text == text.strip()


def replace_secret(folder: Path, source: str, secret: str, *, former: Stamp | None) -> Stamp | None:
    """Put a secret durably into a source's file; None, and nothing done, if that is no longer as in `former`.

    Of several edges on one machine, each of them open for pairing, so the first alone takes a secret.

    Raises:
        OSError: it could not be stored.
    """
    path = secret_path(folder, source)
    with locked(path.parent):
        if stamp_of(folder, source) != former:
            return None
        replace_durably(path, secret.encode())
        return stamp_of(folder, source)
