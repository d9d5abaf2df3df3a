"""The validated sections as the frozen settings that the rest of the program sees."""

from pathlib import Path

from gateway.config.model import (
    KafkaLogSection,
    LogSection,
    OAuthSection,
    PostgresStoreSection,
    SecuritySection,
    ServerSection,
    StoreSection,
)
from gateway.config.settings import (
    KafkaSettings,
    LogSettings,
    OAuthSettings,
    SecuritySettings,
    ServerSettings,
    StoreSettings,
    TlsSettings,
    TopicSettings,
)


def server_settings(section: ServerSection) -> ServerSettings:
    """Return the settings of `server`."""
    return ServerSettings(
        host=section.host,
        port=section.port,
        admin_host=section.admin_host,
        admin_port=section.admin_port,
        public_url=section.public_url,
        trusted_proxies=tuple(section.trusted_proxies),
        tls=TlsSettings(cert=Path(section.tls.cert), key=Path(section.tls.key)) if section.tls else None,
        max_connections=section.max_connections,
        max_buffered=section.max_buffered,
        max_buffered_per_client=section.max_buffered_per_client,
        failed_rate=section.failed_rate,
        drain=section.drain,
    )


def log_settings(section: LogSection) -> LogSettings:
    """Return the settings of `log`."""
    return LogSettings(
        engine=section.engine,
        kafka=_kafka(section) if isinstance(section, KafkaLogSection) else None,
        path=Path(section.path),
        retention=section.retention,
        max_bytes=section.max_bytes,
        min_free=section.min_free,
        max_queued_events=section.max_queued_events,
        max_queued_bytes=section.max_queued_bytes,
    )


def store_settings(section: StoreSection, *, known_dsn: bool, marks: float) -> StoreSettings:
    """Return the settings of `store`; without its DSN where that could not be had and need not be."""
    if not isinstance(section, PostgresStoreSection):
        return StoreSettings(marks=marks)
    return StoreSettings(
        engine="postgres",
        dsn=section.dsn if known_dsn else None,
        connections=section.connections,
        marks=marks,
    )


def _kafka(section: KafkaLogSection) -> KafkaSettings:
    topics = section.topics
    return KafkaSettings(
        bootstrap=tuple(section.bootstrap),
        prefix=section.prefix,
        security=_security(section.security),
        topics=TopicSettings(
            partitions=topics.partitions, replication=topics.replication, min_insync=topics.min_insync
        ),
        spool=_path(section.spool),
        dedupe_max_ids=section.dedupe.max_ids,
        dedupe_warm=section.dedupe.warm,
    )


def _security(section: SecuritySection) -> SecuritySettings:
    return SecuritySettings(
        tls=section.tls,
        ca=_path(section.ca),
        cert=_path(section.cert),
        key=_path(section.key),
        mechanism=section.mechanism,
        username=section.username,
        password=section.password,
        oauth=None if section.oauth is None else _oauth(section.oauth),
    )


def _oauth(section: OAuthSection) -> OAuthSettings:
    return OAuthSettings(
        token_url=section.token_url,
        client_id=section.client_id,
        client_secret=section.client_secret,
        scope=section.scope,
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
