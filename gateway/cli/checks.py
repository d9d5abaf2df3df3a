"""What a start needs, looked at one by one. Each check says what it saw, and what to do where it fails."""

import platform
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from gateway.cli.check_result import Check
from gateway.cli.cluster_checks import cluster_checks
from gateway.config.installed import PROVIDERS
from gateway.config.load import Loaded
from gateway.config.plugins import import_router, problems_of
from gateway.config.secret_values import DEV_LABEL
from gateway.config.settings import RouterSettings, ServerSettings, Settings, SourceSettings
from gateway.core.errors import PluginError
from gateway.process.control import ControlClient
from gateway.process.runtime import control_path
from gateway.wiring.sources import paired as paired_secrets

_OLDEST_SQLITE = (3, 51, 3)
_PING_DEADLINE = 3.0


def all_checks(loaded: Loaded) -> Iterator[Check]:
    """Look at everything a start on this configuration needs."""
    settings = loaded.settings
    yield _versions()
    handed_over = paired_secrets(settings)
    for source in settings.sources:
        yield _source(source, paired=source.name in handed_over)
    for router in settings.routers:
        yield _router(router, settings)
    if not settings.routers:
        yield Check(
            check="routers", state="warning", detail="none is configured", remedy="events are stored, not handled"
        )
    yield _folder(settings)
    yield from cluster_checks(settings)
    if settings.server.tls is not None:
        yield _certificate(settings.server.tls.cert, settings.server.tls.key)
    yield from _ports(settings)


def _versions() -> Check:
    version = apsw.sqlite_lib_version()
    detail = f"Python {platform.python_version()}, SQLite {version}"
    if tuple(int(part) for part in version.split(".")) < _OLDEST_SQLITE:
        remedy = "install apsw from its wheel, which brings a current SQLite; older ones can corrupt the log"
        return Check(check="versions", state="failed", detail=detail, remedy=remedy)
    return Check(check="versions", state="ok", detail=detail)


def _source(source: SourceSettings, *, paired: bool) -> Check:
    labels = [secret.label for secret in source.secrets] + (["paired"] if paired else [])
    detail = f"{source.provider}, secrets: {', '.join(labels) or 'none'}"
    provider = PROVIDERS.get(source.provider)
    if provider is not None and provider.secrets == "paired" and not labels:
        remedy = f"once the gateway runs: gateway pair {source.name}, then register the endpoint"
        return Check(check=f"source {source.name}", state="warning", detail=detail, remedy=remedy)
    if DEV_LABEL in labels:
        remedy = "fine on this machine; set the real secret before anyone sends"
        return Check(check=f"source {source.name}", state="warning", detail=detail, remedy=remedy)
    return Check(check=f"source {source.name}", state="ok", detail=detail)


def _router(configured: RouterSettings, settings: Settings) -> Check:
    name = f"router {configured.name}"
    try:
        router = import_router(configured)
    except PluginError as error:
        return Check(check=name, state="failed", detail=str(error), remedy=f"see routers.{configured.name}.use")
    problems = problems_of(router, settings)
    if problems:
        remedy = "change the handler's source, provider or pattern, or the configuration"
        return Check(check=name, state="failed", detail="; ".join(problems), remedy=remedy)
    return Check(check=name, state="ok", detail=f"{configured.use}, handlers: {len(router.handlers)}")


def _folder(settings: Settings) -> Check:
    folder = settings.log.path
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return Check(check="log folder", state="failed", detail=detail, remedy="make it writable, or change log.path")
    detail = f"{folder} is writable, {free // 2**20} MiB free"
    if settings.log.engine == "sqlite" and free < settings.log.min_free:
        remedy = "free some space, or lower log.min_free; until then deliveries are answered 503"
        return Check(check="log folder", state="failed", detail=detail, remedy=remedy)
    return Check(check="log folder", state="ok", detail=detail)


def _certificate(cert: Path, key: Path) -> Check:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        detail = f"{cert} and {key} cannot be used ({type(error).__name__})"
        remedy = "give server.tls a PEM chain and its unencrypted key, readable by this user"
        return Check(check="certificate", state="failed", detail=detail, remedy=remedy)
    return Check(check="certificate", state="ok", detail=str(cert))


def _ports(settings: Settings) -> Iterator[Check]:
    server: ServerSettings = settings.server
    edges = ("edge", "edge:1")
    others = (*(f"worker:{router.name}" for router in settings.routers), "indexer")
    yield _port("server.port", server.host, server.port, settings, edges)
    yield _port("server.admin_port", server.admin_host, server.admin_port, settings, (*edges, *others))


def _port(key: str, host: str, port: int, settings: Settings, holders: Sequence[str]) -> Check:
    place = f"{host}:{port}"
    try:
        _try_to_bind(host, port)
    except OSError as error:
        if _runs(settings, holders):
            return Check(check=key, state="ok", detail=f"{place} is held by the running gateway")
        detail = f"{place}: {error.strerror or type(error).__name__}"
        return Check(check=key, state="failed", detail=detail, remedy=f"stop what uses it, or change {key}")
    return Check(check=key, state="ok", detail=f"{place} is free")


def _runs(settings: Settings, processes: Sequence[str]) -> bool:
    paths = (control_path(settings.log.path, name) for name in processes)
    return any(ControlClient(path, deadline=_PING_DEADLINE).answers() for path in paths)


def _try_to_bind(host: str, port: int) -> None:
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
