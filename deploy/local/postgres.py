# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""A Postgres server as a child process, from the binaries of the system, with its data in a folder.

For development and tests: it listens on the loopback alone, and does not wait for the disk (`fsync=off`). A killed
server loses nothing by that, for the kernel keeps what it wrote; a power cut would, and neither use is about those.
"""

import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from deploy.local import processes
from deploy.local.processes import Server, ServerError

NO_POSTGRES = ("Postgres", "install a server; on Debian and Ubuntu: apt install postgresql")

_HOST = "127.0.0.1"
_SUPERUSER = "postgres"
_START_SECONDS = 60.0
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "log_statement_stats": "off",
}


def binaries() -> Path | None:
    """Return the folder of the newest server's binaries, or None: Debian does not put them on the path."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D.*", "", path.parent.name) or 0))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def lacking() -> tuple[str, str] | None:
    """Return what this machine lacks to run a server, and the remedy; None if nothing."""
    return None if binaries() else NO_POSTGRES


class Postgres:
    """A server with its data in `folder`/data; `role` owns every database made here, and is no superuser.

    Clients come over TCP with a password, as they do in production. The superuser comes over a Unix socket that only
    the owner of the folder may open.
    """

    def __init__(self, folder: Path, port: int, *, role: str, password: str) -> None:
        self.port = port
        self.role = role
        self._password = password
        self._folder = folder
        self._data = folder / "data"
        self._sockets = tempfile.TemporaryDirectory(prefix="gateway-sockets-")  # a socket's path must be short
        self._socket = Path(self._sockets.name)
        self._user = _unprivileged()
        self.server = Server(self._command(), output=folder / "server.log", user=self._user)

    def dsn(self, database: str) -> str:
        """Return how the gateway reaches a database."""
        return f"postgresql://{self.role}:{quote(self._password, safe='')}@{_HOST}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the folders, and the cluster if it is new.

        Raises:
            ServerError: it could not be made.
        """
        for folder in (self._folder, self._socket):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._user:
                os.chown(folder, *self._user)
                check_entry(folder, self._user)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()

    def start(self) -> None:
        """Start, and return once it answers.

        Raises:
            ServerError: it did not start; the message says why.
        """
        self.prepare()
        self.server.start(self.answers, deadline=_START_SECONDS)
        self._make_role()

    def stop(self) -> None:
        """End it in order, without waiting for its clients."""
        self.thaw()
        self.server.stop(signal.SIGINT, deadline=30.0)

    def end(self) -> None:
        """End it in order, for good: it is not started again."""
        self.stop()
        self._sockets.cleanup()

    def kill(self) -> None:
        """End it as a crash does, with all its children."""
        children = self._children()
        self.server.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it as a starved machine does: connections stay open, nothing is answered."""
        processes.freeze(self.server.pid)
        for child in self._children():
            processes.freeze(child)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in self._children():
            processes.thaw(pid)
        if self.server.running:
            processes.thaw(self.server.pid)

    def answers(self) -> bool:
        """Return whether the server answers."""
        with suppress(psycopg.Error):
            self.execute("select 1")
            return True
        return False

    def execute(self, statement: str, *names: str, database: str = _SUPERUSER) -> list[tuple[object, ...]]:
        """Run a statement as the superuser, outside a transaction; each `{}` becomes one of the names, quoted."""
        written = sql.SQL(statement).format(*map(sql.Identifier, names))
        with psycopg.connect(
            host=str(self._socket),
            port=self.port,
            user=_SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            cursor = connection.execute(written)
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str, *, template: str = "template0") -> str:
        """Make a database as a copy of `template`, which no one may use meanwhile; return its DSN."""
        self.execute("create database {} owner {} template {}", database, self.role, template)
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.execute("drop database if exists {} with (force)", database)

    def has(self, database: str) -> bool:
        """Return whether there is such a database."""
        return (database,) in self.execute("select datname::text from pg_database")

    def _children(self) -> list[int]:
        """Return the server's processes, each of which leads a group of its own."""
        if not self.server.running:
            return []
        pid = self.server.pid
        with suppress(OSError):
            return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def _make_role(self) -> None:
        if (self.role,) not in self.execute("select rolname::text from pg_roles"):
            password = sql.Literal(self._password).as_string(None)
            self.execute("create role {} login password " + password, self.role)

    def _initialise(self) -> None:
        words = ["--encoding", "UTF8", "--no-locale", "--no-sync", "--username", _SUPERUSER]
        access = ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
        ran = subprocess.run(  # noqa: S603 - our own command
            [str(_folder_of_binaries() / "initdb"), "--pgdata", str(self._data), *words, *access],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self._folder,
            **self._run_as(),
        )
        if ran.returncode:
            raise ServerError(f"Postgres could not make its files:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")

    def _run_as(self) -> dict[str, Any]:
        return {"user": self._user[0], "group": self._user[1], "extra_groups": []} if self._user else {}

    def _command(self) -> list[str]:
        settings = {
            **_SETTINGS,
            "listen_addresses": _HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self._socket),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(_folder_of_binaries() / "postgres"), "-D", str(self._data), *options]


def _folder_of_binaries() -> Path:
    folder = binaries()
    if folder is None:
        raise ServerError(": ".join(NO_POSTGRES))
    return folder


def check_entry(folder: Path, user: tuple[int, int]) -> None:
    """See that the user can come to `folder`, which is its own.

    Raises:
        ServerError: a folder above is closed to it; the message has the remedy.
    """
    for above in reversed(folder.resolve().parents):
        found = above.stat()
        right = stat.S_IXUSR if found.st_uid == user[0] else stat.S_IXGRP if found.st_gid == user[1] else stat.S_IXOTH
        if not found.st_mode & right:
            name = pwd.getpwuid(user[0]).pw_name
            raise ServerError(
                f"Postgres does not run as root, and user {name}, as whom it is started instead, may not enter {above};"
                f" run this as another user than root, move the project to a folder that every user may enter, or allow"
                f" it: chmod o+x {shlex.quote(str(above))}"
            )


def _unprivileged() -> tuple[int, int] | None:
    """Return whom to run the server as if we are root, which Postgres refuses; None: run it as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise ServerError("Postgres does not run as root, and there is neither a user postgres nor nobody to run it as")
