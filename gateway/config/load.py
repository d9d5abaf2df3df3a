"""A configuration file to frozen settings, or every mistake in it at once.

Relative paths (`log.path`, certificates, files of secrets) start at the current directory, as in a shell.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config import document, engines, frozen, references
from gateway.config.document import Document
from gateway.config.mistakes import known_keys
from gateway.config.model import LogSection, RouterSection, ServerSection, StoreSection
from gateway.config.problems import ConfigProblems, KeyPath, did_you_mean
from gateway.config.report import Report
from gateway.config.sections import check_name, mapping_at, section_of
from gateway.config.settings import RouterSettings, Settings
from gateway.config.sources import Reading, ReadSource, read_source
from gateway.config.values import is_loopback
from gateway.core.source import Source

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, the sources compiled as far as their secrets are there, and where each value came from."""

    settings: Settings
    sources: Mapping[str, ReadSource]
    document: Document
    resolved: references.Resolved

    @property
    def compiled(self) -> Mapping[str, Source]:
        """The sources that could be compiled, by name."""
        return {name: read.compiled for name, read in self.sources.items() if read.compiled is not None}


def load(
    path: Path, environ: Mapping[str, str], *, secrets: bool = True, optional: Collection[KeyPath] = ()
) -> Settings:
    """Return the settings of the configuration file at `path`.

    With `secrets=False`, for commands that need none, the sources' secrets that cannot be had here and now are left
    out; so are those of `optional`, some of `references.CREDENTIALS`.

    Raises:
        ConfigProblems: every mistake in the file, with its place and its remedy.
    """
    return read(path, environ, secrets=secrets, optional=optional).settings


def read(path: Path, environ: Mapping[str, str], *, secrets: bool = True, optional: Collection[KeyPath] = ()) -> Loaded:
    """Return the settings with the origin of each value. Raises as `load` does."""
    report = Report(document.read(path))
    resolved = references.resolve(report, environ, optional, settings=secrets)
    tree = _without_later_versions(_without_nulls(resolved.tree, report), report)
    _check_top(tree, report)
    server = section_of(ServerSection, mapping_at(tree, "server", report), ("server",), report)
    log = engines.read_log(mapping_at(tree, "log", report), report)
    known_dsn = references.DSN not in resolved.unread
    store = engines.read_store(mapping_at(tree, "store", report), report, known=known_dsn)
    incomplete = frozenset(str(path[1]) for path in resolved.unread if path[2:3] == ("settings",))
    sources = _sources(tree, server, report, Reading(environ, secrets=secrets, incomplete=incomplete))
    routers = _routers(tree, report)
    if server is not None:
        _check_server(server, sources, report, secrets=secrets)
    marks = 0.0
    if log is not None and store is not None:
        marks = _marks(tree, log, store, sources, report)
        engines.check_together(log, store, sources, report)
    if report.problems or server is None or log is None or store is None:
        raise ConfigProblems(report.problems)
    settings = Settings(
        path=path,
        server=frozen.server_settings(server),
        log=frozen.log_settings(log),
        store=frozen.store_settings(store, known_dsn=known_dsn, marks=marks),
        sources=tuple(source.settings for source in sources.values()),
        routers=routers,
    )
    return Loaded(settings, sources, report.document, resolved)


def _without_nulls(tree: dict[str, Any], report: Report) -> dict[str, Any]:
    """Leave out top-level keys without a value (all below commented out); report any deeper one."""

    def walk(value: Any, path: KeyPath) -> Any:
        if len(path) == 3 and path[0] == "sources" and path[2] == "require":
            return value  # schemas may speak of null
        if isinstance(value, dict):
            return {key: walk(child, (*path, key)) for key, child in value.items() if _has_value(child, path, key)}
        if isinstance(value, list):
            return [walk(child, (*path, index)) for index, child in enumerate(value)]
        return value

    def _has_value(child: Any, path: KeyPath, key: str) -> bool:
        if child is None and path:
            report.add((*path, key), "has no value", "give one, or remove the key", at_key=True)
        return child is not None

    return walk(tree, ())  # type: ignore[no-any-return] # a mapping stays one


def _without_later_versions(tree: dict[str, Any], report: Report) -> dict[str, Any]:
    """Report what this version cannot do yet, and leave it out, so that its other keys are not called unknown."""
    for path in _later_keys(tree):
        report.add(path, "this version does not know it yet", _LATER[str(path[-1])], at_key=True)
        tree = _without(tree, path)
    return tree


_LATER = {
    "workers": "remove it, and start `gateway serve --workers N`",
}


def _later_keys(tree: Mapping[str, Any]) -> Iterator[KeyPath]:
    if isinstance(tree.get("server"), dict) and "workers" in tree["server"]:
        yield ("server", "workers")


def _without(tree: dict[str, Any], path: KeyPath) -> dict[str, Any]:
    key = str(path[0])
    if len(path) == 1:
        return {other: value for other, value in tree.items() if other != key}
    return {**tree, key: _without(tree[key], path[1:])}


def _check_top(tree: Mapping[str, Any], report: Report) -> None:
    known = known_keys(())
    for key in tree:
        if key not in known:
            report.add((key,), "unknown key", did_you_mean(key, known), at_key=True)
    if not tree.get("sources"):
        example = "{github: {provider: github, secrets: [{env: GITHUB_WEBHOOK_SECRET}]}}"
        report.add(("sources",), "no source is configured", f"add one, such as sources: {example}")


def _sources(
    tree: dict[str, Any], server: ServerSection | None, report: Report, reading: Reading
) -> dict[str, ReadSource]:
    found = {}
    for name, raw in mapping_at(tree, "sources", report).items():
        check_name(name, ("sources", name), report)
        source = read_source(name, raw, server, report, reading)
        if source is not None:
            found[name] = source
    return found


def _routers(tree: dict[str, Any], report: Report) -> tuple[RouterSettings, ...]:
    found = []
    for name, raw in mapping_at(tree, "routers", report).items():
        check_name(name, ("routers", name), report)
        section = section_of(RouterSection, raw, ("routers", name), report)
        if section is not None:
            found.append(RouterSettings(name=name, use=section.use, concurrency=section.concurrency))
    return tuple(found)


def _check_server(server: ServerSection, sources: Mapping[str, ReadSource], report: Report, *, secrets: bool) -> None:
    if server.port and (server.host, server.port) == (server.admin_host, server.admin_port):
        report.add(("server", "admin_port"), "is the public port too", "give the admin port a number of its own")
    if not secrets:
        return
    for source in sources.values():
        exposed = _exposed(server, source)
        for found in source.found if exposed else ():
            if found.dev:
                remedy = "give the secret by {env: NAME} or {file: PATH}, and set it"
                report.add(
                    found.path, f"a development secret works on loopback only, and {exposed} is not loopback", remedy
                )


def _exposed(server: ServerSection, source: ReadSource) -> str:
    """Return which setting lets others than this machine reach the source, if any does."""
    if not is_loopback(server.host):
        return "server.host"
    url = source.settings.options.public_url
    return "public_url" if url and not is_loopback(urlsplit(url).hostname or "") else ""


def _marks(
    tree: Mapping[str, Any], log: LogSection, store: StoreSection, sources: Mapping[str, ReadSource], report: Report
) -> float:
    """Return how long marks are kept: as written, which must be long enough, or as long as is needed.

    A mark must outlive every copy of its event that may still come or be replayed (design, section 4).
    """
    needed = log.retention + max((read.window for read in sources.values()), default=0.0)
    if "marks" not in (tree.get("store") or {}):
        return max(store.marks, needed)
    if store.marks < needed:
        report.add(
            ("store", "marks"),
            "shorter than log.retention and the longest dedupe window together",
            f"write at least {math.ceil(needed / DAY)}d",
        )
    return store.marks
