"""The log and the store: which engine each runs on, and what one engine asks of the rest of the configuration."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.config.conninfo import parts_of
from gateway.config.model import (
    KafkaLogSection,
    LogSection,
    PostgresStoreSection,
    SecuritySection,
    SqliteLogSection,
    SqliteStoreSection,
    StoreSection,
)
from gateway.config.problems import did_you_mean, nearest
from gateway.config.report import Report
from gateway.config.sections import section_of
from gateway.keep import places

Model = TypeVar("Model", bound=BaseModel)
# Where a mistake is (`security.password`), what it is, and the remedy.
Mistake = tuple[str, str, str]

LOGS: Mapping[str, type[LogSection]] = {"sqlite": SqliteLogSection, "kafka": KafkaLogSection}
STORES: Mapping[str, type[StoreSection]] = {"sqlite": SqliteStoreSection, "postgres": PostgresStoreSection}
_LONGEST_TOPIC = 249
_BY_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def read_log(raw: dict[str, Any], report: Report) -> LogSection | None:
    """Return the section `log`, reporting all that is wrong with it; None if too little of it is right."""
    model, own = _engine("log", raw, LOGS, report)
    section = section_of(model, own, ("log",), report, stand_in={"bootstrap": ["-:1"]})
    if isinstance(section, KafkaLogSection):
        for key, message, remedy in _of_kafka(section, own):
            report.add(("log", *key.split(".")), message, remedy)
    return section


def read_store(raw: dict[str, Any], report: Report, *, known: bool) -> StoreSection | None:
    """Return the section `store`, as `read_log`; unless `known`, something stands in for its DSN."""
    model, own = _engine("store", raw, STORES, report)
    section = section_of(model, own, ("store",), report, stand_in={"dsn": ""})
    if isinstance(section, PostgresStoreSection) and known and section.dsn and parts_of(section.dsn) is None:
        remedy = "write one such as postgresql://user:password@host/database"
        report.add(("store", "dsn"), "is no address of a Postgres database", remedy)
    return section


def check_together(log: LogSection, store: StoreSection, sources: Collection[str], report: Report) -> None:
    """Report what Kafka makes impossible of the store, and of the names of the sources."""
    if not isinstance(log, KafkaLogSection):
        return
    if not isinstance(store, PostgresStoreSection):
        written = isinstance(raw := report.document.tree.get("store"), dict) and "engine" in raw
        report.add(
            ("store", "engine") if written else ("log", "engine"),
            "on Kafka the marks must be where every worker sees them",
            "write store: {engine: postgres, dsn: {env: DATABASE_URL}}",
        )
    longest = max((len(name) for name in sources), default=0)
    if len(f"{log.prefix}.events.") + longest > _LONGEST_TOPIC:
        report.add(("log", "prefix"), f"makes names of topics longer than {_LONGEST_TOPIC} characters", "shorten it")
    if same := places.clash(sources):
        told = f"cannot stand beside {same[0]} on Kafka: their partitions would have the same numbers"
        report.add(("sources", same[1]), told, "rename one of the two", at_key=True)


def _engine(
    name: str, raw: dict[str, Any], models: Mapping[str, type[Model]], report: Report
) -> tuple[type[Model], dict[str, Any]]:
    """Return the model of the engine that is meant, and the section without the keys of others, which are reported."""
    engine = _meant(name, raw, models, report)
    own = {**raw, "engine": engine}
    for key in raw.keys() - models[engine].model_fields.keys():
        other = next((each for each, model in models.items() if key in model.model_fields), None)
        if other is not None:
            remedy = f"remove it, or write engine: {other}"
            report.add((name, key), f"is for engine {other} alone", remedy, at_key=True)
            del own[key]
    return models[engine], own


def _meant(name: str, raw: dict[str, Any], models: Mapping[str, type[Model]], report: Report) -> str:
    """Return the engine, and where its word is wrong the one whose keys are there."""
    word = raw.get("engine", "sqlite")
    if isinstance(word, str) and word in models:
        return word
    report.add((name, "engine"), "is none of the known words", did_you_mean(word, models))
    misfits = {engine: len(raw.keys() - model.model_fields.keys()) for engine, model in models.items()}
    return nearest(word, models) or min(misfits, key=lambda engine: misfits[engine])


def _of_kafka(section: KafkaLogSection, written: Mapping[str, Any]) -> Iterator[Mistake]:
    yield from _of_spool(section, written)
    yield from _of_encryption(section.security)
    yield from _of_login(section.security)
    if section.topics.min_insync > section.topics.replication:
        remedy = f"write at most {section.topics.replication}"
        yield "topics.min_insync", "is more copies than topics.replication makes", remedy


def _of_spool(section: KafkaLogSection, written: Mapping[str, Any]) -> Iterator[Mistake]:
    if section.spool is None:
        for key in ("max_bytes", "min_free"):
            if key in written:
                yield key, "is for the disk of a spool, and there is none", "remove it, or add spool: FOLDER"
    elif Path(section.spool) == Path(section.path):
        yield "spool", "is log.path itself", "name a folder of its own"


def _of_encryption(security: SecuritySection) -> Iterator[Mistake]:
    for key in ("ca", "cert", "key"):
        if getattr(security, key) is not None and not security.tls:
            yield f"security.{key}", "is for an encrypted connection", "write tls: true, or remove it"
    if security.cert is not None and security.key is None:
        yield "security.cert", "is given without its key", "add key: and the PEM file of the private key"
    if security.key is not None and security.cert is None:
        yield "security.key", "is given without its certificate", "add cert: and the PEM file of the chain"


def _of_login(security: SecuritySection) -> Iterator[Mistake]:
    for key, example in (("username", "NAME"), ("password", "{env: KAFKA_PASSWORD}")):
        given = getattr(security, key) is not None
        if given and security.mechanism is None:
            words = ", ".join(_BY_PASSWORD)
            yield f"security.{key}", "is given without a mechanism", f"write mechanism: and one of {words}"
        if given and security.mechanism == "OAUTHBEARER":
            yield f"security.{key}", "is not for OAUTHBEARER", "remove it; oauth: has what it needs"
        if security.mechanism in _BY_PASSWORD and not given:
            yield "security.mechanism", f"needs a {key}", f"add {key}: {example}"
    yield from _of_oauth(security)


def _of_oauth(security: SecuritySection) -> Iterator[Mistake]:
    if security.mechanism == "OAUTHBEARER" and security.oauth is None:
        example = "add oauth: {token_url: URL, client_id: NAME, client_secret: {env: NAME}}"
        yield "security.mechanism", "needs to know where its tokens come from", example
    if security.oauth is not None and security.mechanism != "OAUTHBEARER":
        yield "security.oauth", "is for OAUTHBEARER", "write mechanism: OAUTHBEARER, or remove it"
