"""What a start on Kafka, or with Postgres, needs of them and of the spool's disk."""

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.check_result import Check, State
from gateway.config.installed import PROVIDERS
from gateway.config.settings import KafkaSettings, Settings
from gateway.core.errors import ConfigError, DependencyError, GatewayError
from gateway.keep.sqlite.spooled import ASIDE_FOLDER, set_aside_in

_MOUNTS = Path("/proc/mounts")
_EPHEMERAL = ("tmpfs", "ramfs", "overlay", "aufs")


def cluster_checks(settings: Settings) -> Iterator[Check]:
    """Look at what the embedded engines do without."""
    kafka = settings.log.kafka
    if kafka is not None:
        yield from _kafka(settings, kafka)
        yield from _spool(settings, kafka)
    if settings.store.engine == "postgres":
        yield _postgres(settings)


def _kafka(settings: Settings, kafka: KafkaSettings) -> Iterator[Check]:
    from gateway.config.topics import topic_plans  # noqa: PLC0415 - the embedded gateway loads no Kafka client
    from gateway.keep.kafka import topic_admin, topics  # noqa: PLC0415 - as above
    from gateway.keep.kafka.client import client_arguments  # noqa: PLC0415 - as above
    from gateway.wiring.cluster import cluster_of  # noqa: PLC0415 - as above

    # Its remarks on each failed try would go to stderr beside our one line.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    yield from _login_in_clear(kafka)
    plans = topic_plans(settings, kafka)
    try:
        arguments = client_arguments(cluster_of(settings, process="check"))
        found = asyncio.run(topic_admin.ask(arguments, plans))
    except (ConfigError, DependencyError) as error:
        yield _failed("kafka", error, remedy="see log.security")
        return
    yield Check(check="kafka", state="ok", detail=f"{', '.join(kafka.bootstrap)}: brokers: {found.brokers}")
    problems = topics.problems(plans, found)
    for problem in problems:
        state: State = "failed" if problem.severity == "error" else "warning"
        yield Check(check=f"topic {problem.topic}", state=state, detail=problem.detail, remedy=problem.remedy)
    for plan in plans:
        if plan.name not in {problem.topic for problem in problems}:
            detail = f"partitions: {found.topics[plan.name].partitions}"
            yield Check(check=f"topic {plan.name}", state="ok", detail=detail)


def _login_in_clear(kafka: KafkaSettings) -> Iterator[Check]:
    if kafka.security.mechanism in ("PLAIN", "OAUTHBEARER") and not kafka.security.tls:
        detail = f"{kafka.security.mechanism} without encryption shows who listens how to log in"
        yield Check(check="kafka login", state="warning", detail=detail, remedy="set log.security.tls: true")


def _postgres(settings: Settings) -> Check:
    from gateway.keep.postgres import migrations  # noqa: PLC0415 - no other gateway loads the driver

    assert settings.store.dsn is not None  # noqa: S101 - the configuration was loaded with it
    try:
        migrations.verify(settings.store.dsn)
    except GatewayError as error:
        return _failed("postgres", error, remedy="see store.dsn")
    return Check(check="postgres", state="ok", detail=f"schema version: {migrations.NEWEST}")


def _failed(check: str, error: GatewayError, *, remedy: str) -> Check:
    detail, _, told = str(error).partition("; ")
    return Check(check=check, state="failed", detail=detail, remedy=told or remedy)


# The spool


def _spool(settings: Settings, kafka: KafkaSettings) -> Iterator[Check]:
    if kafka.spool is not None:
        yield _spool_folder(kafka.spool, settings.log.min_free)
        yield from _set_aside(kafka.spool)
        return
    unrepeated = [
        source.name
        for source in settings.sources
        if source.provider in PROVIDERS and not PROVIDERS[source.provider].retry_horizon
    ]
    if unrepeated:
        detail = f"there is none, and these sources are not known to repeat a delivery: {', '.join(unrepeated)}"
        remedy = "add log.spool: FOLDER, to keep and acknowledge what Kafka cannot take"
        yield Check(check="spool", state="warning", detail=detail, remedy=remedy)


def _spool_folder(folder: Path, min_free: int) -> Check:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
        kind = file_system(_mounts(), folder.resolve())
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return Check(check="spool", state="failed", detail=detail, remedy="make it writable, or change log.spool")
    if free < min_free:
        remedy = "free some space, or lower log.min_free; until then nothing is spooled"
        return Check(check="spool", state="failed", detail=f"{folder} has {free // 2**20} MiB free", remedy=remedy)
    if kind in _EPHEMERAL:
        remedy = "mount a volume there: what is in the spool is acknowledged, and nowhere else"
        return Check(
            check="spool", state="warning", detail=f"{folder} is on {kind}, which does not last", remedy=remedy
        )
    return Check(check="spool", state="ok", detail=f"{folder} is writable, {free // 2**20} MiB free")


def _set_aside(spool: Path) -> Iterator[Check]:
    for folder in sorted(path for path in spool.glob("*") if path.name.isdecimal()):
        count = set_aside_in(folder)
        if count:
            detail = f"{folder / ASIDE_FOLDER} has {count} acknowledged event{'s'[: count != 1]} that could not be read"
            remedy = "each .body is the exact body: send it again from the provider or by hand, then remove the files"
            yield Check(check="spool set-aside", state="warning", detail=detail, remedy=remedy)


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(errors="surrogateescape")
    except FileNotFoundError:  # not Linux
        return ""


def file_system(mounts: str, path: Path) -> str:
    """Return the kind of file system that `path`, which is absolute, is on, by the lines of `/proc/mounts`; or ""."""
    found = ("", "")
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split(" ")
        place = _unescaped(place)
        if path.is_relative_to(place) and len(place) >= len(found[0]):  # a later mount hides an earlier one
            found = (place, kind)
    return found[1]


def _unescaped(place: str) -> str:
    raw = place.encode(errors="surrogateescape").decode("unicode_escape")
    return os.fsdecode(raw.encode("latin-1"))
