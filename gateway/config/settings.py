"""The configuration as frozen values: what the rest of the program sees. Times in seconds, sizes in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.core.objects import FetchOptions
from gateway.core.requirement import Requirement
from gateway.core.source import Secret, SourceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """The certificate chain and its key, PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the gateway listens. `public_url` has no trailing slash; sources live below it."""

    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    tls: TlsSettings | None = None
    max_connections: int = 4096
    max_buffered: int = 256 * 2**20
    max_buffered_per_client: int = 64 * 2**20
    failed_rate: float = 1.0
    drain: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings:
    """Where SASL OAUTHBEARER tokens come from: the client-credentials grant (RFC 6749, section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """How to connect to the brokers; PEM files. `mechanism` is None without SASL."""

    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuthSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """How `gateway topics create` makes topics, and what a start asks of them."""

    partitions: int = 12
    replication: int = 3
    min_insync: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """The Kafka engine. `spool` is the folder of the spool, None for no spool; `dedupe_warm` is in seconds."""

    bootstrap: tuple[str, ...]
    prefix: str = "webhooks"
    security: SecuritySettings = field(default_factory=SecuritySettings)
    topics: TopicSettings = field(default_factory=TopicSettings)
    spool: Path | None = None
    dedupe_max_ids: int = 2_000_000
    dedupe_warm: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The event log: where it is kept, how long, how much of the disk it may take, how much may wait in memory.

    `kafka` is set for engine `kafka` alone; `path` then holds the sockets of the processes and the rejections.
    """

    engine: Literal["sqlite", "kafka"] = "sqlite"
    kafka: KafkaSettings | None = None
    path: Path = Path("var")
    retention: float = 14 * 86400.0
    max_bytes: int = 20 * 2**30
    min_free: int = 2**30
    max_queued_events: int = 20_000
    max_queued_bytes: int = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where marks are kept, and for how long. `dsn` and `connections` (of one worker) are for engine `postgres`."""

    engine: Literal["sqlite", "postgres"] = "sqlite"
    dsn: str | None = field(default=None, repr=False)
    connections: int = 10
    marks: float = 90 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineSettings:
    """How much of a source's unverified deliveries is kept on the disk, and for how long."""

    max_bytes: int
    max_age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """One source: `scheme` and `event` are set for provider `custom` alone, as written in the configuration."""

    name: str
    provider: str
    secrets: tuple[Secret, ...]
    options: SourceOptions = field(default_factory=SourceOptions)
    scheme: Mapping[str, object] = field(default_factory=dict)
    event: Mapping[str, object] = field(default_factory=dict)
    require: tuple[Requirement, ...] = ()
    fetch: FetchOptions | None = None
    quarantine: QuarantineSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """One router: `use` is `package.module:attribute`, or the name of an installed `gateway.routers` entry point."""

    name: str
    use: str
    concurrency: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration of one gateway."""

    path: Path
    server: ServerSettings
    log: LogSettings
    store: StoreSettings
    sources: tuple[SourceSettings, ...]
    routers: tuple[RouterSettings, ...]
