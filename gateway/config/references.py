"""Values that stand elsewhere: `{env: NAME}`, with a `default` if need be, and `{file: PATH}`.

Nothing read from the environment or from a file is quoted in a message. The name given for it is quoted only where it
looks like a variable's and unlike a secret.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.document import plain_value
from gateway.config.problems import KeyPath
from gateway.config.report import Report, Unread

_KEYS = {"env", "file", "default"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CLEARLY_A_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_LARGEST = 64 * 2**10
_HELD_BACK = ("secrets", "scheme", "event", "require")

DSN: KeyPath = ("store", "dsn")
FETCH: KeyPath = ("sources", "*", "fetch", "credential")
CREDENTIALS: tuple[KeyPath, ...] = (
    DSN,
    ("log", "security", "password"),
    ("log", "security", "oauth", "client_secret"),
    FETCH,
)
"""What a gateway logs in with elsewhere: kept as text whatever it looks like, and never shown. `*` is any source."""
_TEXTS = (*CREDENTIALS, ("log", "prefix"), ("log", "security", "username"), ("log", "security", "oauth", "client_id"))
_STAND_IN = "-"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The tree with its references replaced, and where each of those values came from.

    A reference that could not be resolved, and is reported, is left out of the tree; but for a credential something
    stands in, so that nobody is told besides that it is missing. `unread` has the paths of those.
    """

    tree: dict[str, Any]
    origins: Mapping[KeyPath, str]
    unread: Collection[KeyPath] = frozenset()


def from_environment(name: object, environ: Mapping[str, str]) -> str:
    """Return the variable's text without newlines at its end.

    Raises:
        Unread: it is no variable's name, not set, or empty.
    """
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise Unread("env must be the name of an environment variable", "use letters, digits and _")
    shown = f"environment variable {name}" if _CLEARLY_A_NAME.fullmatch(name) else "the environment variable"
    if name not in environ:
        raise Unread(f"{shown} is not set", "set it where the gateway is started")
    text = environ[name].rstrip("\r\n")
    if not text:
        raise Unread(f"{shown} is empty", "set it where the gateway is started")
    return text


def from_file(name: object) -> str:
    """Return the file's text without newlines at its end; a relative path starts at the current directory.

    Raises:
        Unread: it is no path, cannot be read, is empty, not UTF-8, or larger than 64 KiB.
    """
    if not isinstance(name, str) or not name:
        raise Unread("file must be the path of a file", "write one such as /run/secrets/name")
    try:
        with Path(name).open("rb") as opened:
            text = opened.read(_LARGEST + 1).decode()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise Unread(f"the file cannot be read ({cause})", "check its path and who may read it") from None
    if len(text) > _LARGEST:
        raise Unread("the file is larger than 64 KiB", "check its path")
    text = text.rstrip("\r\n")
    if not text:
        raise Unread("the file is empty", "write the value into it")
    return text


class _Resolver:
    def __init__(
        self, report: Report, environ: Mapping[str, str], optional: Collection[KeyPath], *, settings: bool
    ) -> None:
        self.origins: dict[KeyPath, str] = {}
        self.unread: set[KeyPath] = set()
        self._report = report
        self._environ = environ
        self._optional = optional
        self._settings = settings

    def walk(self, value: Any, path: KeyPath) -> Any:
        if len(path) == 3 and path[0] == "sources" and path[2] in _HELD_BACK:
            return value
        if isinstance(value, list):
            children = (self.walk(child, (*path, index)) for index, child in enumerate(value))
            return [child for child in children if child is not _MISSING]
        if not isinstance(value, dict):
            return value
        if len(path) > 1 and {"env", "file"} & value.keys() and value.keys() <= _KEYS:
            return self._read(value, path)
        walked = {key: self.walk(child, (*path, key)) for key, child in value.items()}
        return {key: child for key, child in walked.items() if child is not _MISSING}

    def _read(self, value: dict[str, Any], path: KeyPath) -> Any:
        try:
            text, self.origins[path] = self._text(value)
        except Unread as reason:
            if "default" in value:
                self.origins[path] = self._report.place((*path, "default"))
                return value["default"]
            return self._without(path, reason)
        return text if general(path) in _TEXTS or _is_setting(path) else plain_value(text)

    def _without(self, path: KeyPath, reason: Unread) -> Any:
        if _is_setting(path) and not self._settings:
            self.unread.add(path)
            return _MISSING
        if general(path) not in self._optional:
            self._report.add(path, str(reason), reason.remedy)
        if general(path) not in CREDENTIALS:
            return _MISSING
        self.unread.add(path)
        return _STAND_IN

    def _text(self, value: dict[str, Any]) -> tuple[str, str]:
        if "env" in value and "file" in value:
            raise Unread("has both env and file", "keep one of the two")
        if "file" in value:
            return from_file(value["file"]), "file"
        return from_environment(value["env"], self._environ), f"env {value['env']}"


def general(path: KeyPath) -> KeyPath:
    """Return the path as it stands in `CREDENTIALS`, whichever source it leads to."""
    return FETCH if len(path) == 4 and (path[0], *path[2:]) == (FETCH[0], *FETCH[2:]) else path


def _is_setting(path: KeyPath) -> bool:
    """Return whether the path leads to a setting of a source's provider: a text, and maybe a secret."""
    return len(path) > 3 and path[0] == "sources" and path[2] == "settings"


_MISSING = object()


def resolve(
    report: Report, environ: Mapping[str, str], optional: Collection[KeyPath] = (), *, settings: bool = True
) -> Resolved:
    """Replace the references of all settings but secrets and custom schemes; report those that cannot be.

    Those of `optional` that cannot be are not reported, and without `settings` neither are those of providers.
    """
    resolver = _Resolver(report, environ, optional, settings=settings)
    tree = {key: resolver.walk(value, (key,)) for key, value in report.document.tree.items()}
    return Resolved(tree, resolver.origins, frozenset(resolver.unread))
