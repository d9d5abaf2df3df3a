"""Which room may import what (design, section 2), and the walk that finds every other arrow."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

VALUES = frozenset({"orjson", "msgspec"})
IMPURE = frozenset(
    {
        "asyncio",
        "time",
        "os",
        "socket",
        "logging",
        "random",
        "secrets",
        "threading",
        "subprocess",
        "multiprocessing",
        "signal",
        "ssl",
        "http",
        "tempfile",
        "shutil",
        "io",
    }
)
# What a pure module may not call even where its module may be imported.
IMPURE_CALLS = frozenset({"open", "print", "input", "now", "utcnow", "today", "uuid1", "uuid4"})
BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"})

PURE_ROOMS = ("gateway.core", "gateway.providers")
# Marked pure by what they decide; a docstring that says "Pure." marks any other.
PURE_MODULES = frozenset(
    {
        "gateway.admin.health",
        "gateway.admin.merge",
        "gateway.handle.lanes",
        "gateway.handle.retrying",
        "gateway.keep.envelope",
        "gateway.receive.dedupe",
    }
)


@dataclass(frozen=True, slots=True)
class Room:
    """What the modules below a name may import of the gateway, and of third parties. None: anything."""

    gateway: tuple[str, ...] | None
    third: frozenset[str] | None = VALUES


_PORTS = ("gateway.core", "gateway.keep.ports", "gateway.keep.envelope")
_ENGINE = (*_PORTS, "gateway.keep.copies")

# The longest name that fits a module is its room.
ROOMS: Mapping[str, Room] = {
    "gateway": Room(("gateway.core", "gateway.api"), frozenset()),
    "gateway.api": Room(("gateway.core", "gateway.keep.ports", "gateway.context")),
    "gateway.context": Room(("gateway.core", "gateway.keep.ports")),
    "gateway.core": Room(("gateway.core",)),
    "gateway.core.signing": Room(("gateway.core",), VALUES | {"cryptography"}),
    "gateway.core.asymmetric": Room(("gateway.core",), VALUES | {"cryptography"}),
    "gateway.providers": Room(("gateway.core", "gateway.providers")),
    "gateway.receive": Room((*_PORTS, "gateway.receive"), VALUES | {"starlette"}),
    "gateway.keep.values": Room(("gateway.core",)),
    "gateway.keep.ports": Room(("gateway.core", "gateway.keep.values")),
    "gateway.keep.envelope": Room(("gateway.core",)),
    "gateway.keep.places": Room((), frozenset()),
    "gateway.keep.bounds": Room((), frozenset()),
    "gateway.keep": Room(()),
    "gateway.keep.copies": Room(("gateway.core", "gateway.keep.ports")),
    "gateway.keep.pairs": Room(("gateway.core", "gateway.keep.ports", "gateway.keep.envelope"), frozenset()),
    "gateway.keep.sqlite": Room(
        (*_ENGINE, "gateway.keep.bounds", "gateway.keep.pairs", "gateway.keep.sqlite"), VALUES | {"apsw"}
    ),
    "gateway.keep.memory": Room((*_ENGINE, "gateway.keep.memory")),
    "gateway.keep.kafka": Room((*_ENGINE, "gateway.keep.places", "gateway.keep.kafka"), VALUES | {"aiokafka"}),
    "gateway.keep.postgres": Room(
        (*_ENGINE, "gateway.keep.bounds", "gateway.keep.pairs", "gateway.keep.places", "gateway.keep.postgres"),
        VALUES | {"psycopg", "psycopg_pool"},
    ),
    "gateway.handle": Room((*_PORTS, "gateway.api", "gateway.context", "gateway.handle")),
    "gateway.handle.contracts": Room(("gateway.core",), VALUES | {"jsonschema_rs"}),
    "gateway.admin": Room(
        ("gateway.core", "gateway.keep.ports", "gateway.admin"), VALUES | {"starlette", "prometheus_client"}
    ),
    "gateway.config": Room(None, None),
    "gateway.process": Room(None, None),
    "gateway.wiring": Room(None, None),
    "gateway.outgoing": Room(("gateway.core",), VALUES | {"anyio", "httpcore2"}),
    "gateway.testing": Room(None, None),
    "gateway.cli": Room(None, None),
    "gateway.__main__": Room(None, None),
    "handlers": Room(("gateway",), None),
}

# Packages whose modules are rooms of their own: a new module there must be given one.
HALLS = frozenset({"gateway", "gateway.keep"})


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed file."""

    name: str
    path: str
    source: str
    tree: ast.Module = field(compare=False)

    @property
    def room(self) -> str | None:
        """The room the module stands in."""
        fitting = [name for name in ROOMS if self.name == name or (name not in HALLS and within(self.name, name))]
        return max(fitting, key=len, default=None)

    @property
    def lines(self) -> int:
        """How long the file is."""
        return self.source.count("\n")

    @property
    def pure(self) -> bool:
        """Whether the module is marked pure."""
        docstring = ast.get_docstring(self.tree) or ""
        marked = re.search(r"\bPure[.:]", docstring) is not None
        return marked or self.name in PURE_MODULES or any(within(self.name, room) for room in PURE_ROOMS)


def within(name: str, room: str) -> bool:
    """Return whether `name` is `room` or stands below it."""
    return name == room or name.startswith(f"{room}.")


def module(name: str, source: str, path: str = "") -> Module:
    """Return a module of this source."""
    return Module(name, path or f"{name.replace('.', '/')}.py", source, ast.parse(source))


def modules(*folders: str) -> Iterator[Module]:
    """Yield every module below the folders of the project."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT)
            parts = path.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield module(name, file.read_text(), str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, full name) of each thing imported; a relative import is yielded with its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def forbidden_arrows(found: Module) -> list[str]:
    """Return each import that the module's room does not allow."""
    if found.room is None:
        return [f"{found.path}: stands in no room of the design"]
    arrows = [(line, name) for line, name in imports(found.tree) if not _allowed(found, ROOMS[found.room], name)]
    return [f"{found.path}:{line}: {found.room} may not import {name}" for line, name in arrows]


def _allowed(found: Module, room: Room, name: str) -> bool:
    top = name.partition(".")[0]
    if not top:
        return False  # relative imports hide which arrow they are
    if top in sys.stdlib_module_names:
        return not (found.pure and top in IMPURE)
    if top == "gateway":
        return room.gateway is None or _of_gateway(found, room.gateway, name)
    if top == "handlers":
        return False
    return room.third is None or top in room.third


def _of_gateway(found: Module, allowed: tuple[str, ...], name: str) -> bool:
    if found.room == "handlers":
        return name.removeprefix("gateway.") in public_names()
    # `from gateway.keep import ports` names the module, `from gateway.keep.ports import X` a thing within it.
    return any(within(name, room) for room in allowed)


@cache
def public_names() -> frozenset[str]:
    """Return what `from gateway import ...` offers."""
    tree = ast.parse((ROOT / "gateway" / "__init__.py").read_text())
    listed = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return frozenset(name for names in listed for name in ast.literal_eval(names))


def impure_calls(found: Module) -> list[str]:
    """Return each call in a pure module that reads a clock or touches the outside."""
    if not found.pure:
        return []
    calls = [node for node in ast.walk(found.tree) if isinstance(node, ast.Call)]
    named = [(call.lineno, getattr(call.func, "attr", getattr(call.func, "id", ""))) for call in calls]
    return [f"{found.path}:{line}: a pure module calls {name}" for line, name in named if name in IMPURE_CALLS]


def functions(found: Module) -> Iterator[tuple[str, int]]:
    """Yield (place, lines) of each function."""
    for node in ast.walk(found.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{found.path}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1
