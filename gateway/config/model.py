"""The rules of the configuration, as pydantic models: every key, its form, its default and its meaning.

The JSON Schema and `docs/configuration.md` are generated from here. Frozen values for the rest of the program are made
from these in `gateway.config.load`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.values import (
    Authority,
    Brokers,
    Contracts,
    Duration,
    HeaderName,
    Name,
    Network,
    Prefix,
    PublicUrl,
    Rate,
    SecretText,
    Sender,
    Size,
    TokenUrl,
    Use,
)


def _written(default: str, description: str) -> Any:
    """A field whose default is written as a user would write it, and validated likewise."""
    return Field(default, description=description)


class Section(BaseModel):
    """A mapping with known keys. Input is never shown in errors: it may be a secret in the wrong place."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, validate_default=True
    )


class TlsSection(Section):
    """The certificate this server shows. Without it, terminate TLS in front of the gateway."""

    cert: str = Field(min_length=1, description="PEM file of the certificate chain.")
    key: str = Field(min_length=1, description="PEM file of the private key.")


class ServerSection(Section):
    """Where the gateway listens."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` for all.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port of `/webhooks/{source}`.")
    admin_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of the admin port. Do not make it public."
    )
    admin_port: int = Field(default=8081, ge=0, le=65535, description="Port of `/metrics`, `/livez` and `/readyz`.")
    public_url: PublicUrl | None = Field(
        default=None, description="The URL senders use, if a proxy or tunnel stands in front. Some providers sign it."
    )
    trusted_proxies: list[Network] = Field(
        default=[], description="Networks of proxies whose `X-Forwarded-For` is believed."
    )
    tls: TlsSection | None = Field(default=None, description="Serve HTTPS with this certificate.")
    max_connections: int = Field(
        default=4096, ge=1, description="Connections open at a time in each edge process; more are answered 503."
    )
    max_buffered: Size = _written(
        "256MiB", "Bytes of request bodies that each edge process holds before they are verified, in all."
    )
    max_buffered_per_client: Size = _written("64MiB", "The same for one client address.")
    failed_rate: Rate = _written(
        "60/m",
        "Unverified deliveries of one client address that are refused one by one, a minute's worth at once; more are"
        " answered 429, and only counted. What verifies is never limited by it.",
    )
    drain: Duration = _written("20s", "How long a stopping gateway waits for what it has begun.")


class LogSection(Section):
    """The keys that the logs of all engines have."""

    engine: Literal["sqlite", "kafka"]
    path: str = Field(
        default="var",
        min_length=1,
        description="Folder of the log and of all state; relative to the current directory.",
    )
    retention: Duration = _written("14d", "How long handled events are kept.")
    max_bytes: Size = _written("20GiB", "How much of the disk the log may take.")
    min_free: Size = _written("1GiB", "With less than this free on the disk, deliveries are answered 503.")
    max_queued_events: int = Field(
        default=20_000, ge=1, description="Events that may wait in memory to be stored, of each edge process."
    )
    max_queued_bytes: Size = _written("64MiB", "Bytes that may wait in memory to be stored, of each edge process.")


class SqliteLogSection(LogSection):
    """The event log: every accepted event, durable before its sender is answered."""

    engine: Literal["sqlite"] = Field(
        default="sqlite", description="`sqlite` is embedded, for one machine; `kafka` is for several."
    )


class OAuthSection(Section):
    """Where tokens for `OAUTHBEARER` come from: the client-credentials grant of OAuth 2.0."""

    token_url: TokenUrl = Field(description="The token endpoint; `https`, or on loopback.")
    client_id: str = Field(min_length=1, description="Who asks.")
    client_secret: SecretText = Field(description="Its secret; `{env: NAME}` or `{file: PATH}`.")
    scope: str | None = Field(default=None, min_length=1, description="What is asked for.")


class SecuritySection(Section):
    """How to connect to the brokers. Without it: no encryption, no login."""

    tls: bool = Field(default=False, description="Encrypt, and check the brokers' certificates and names.")
    ca: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities to trust, instead of the system's."
    )
    cert: str | None = Field(default=None, min_length=1, description="PEM file of this client's certificate chain.")
    key: str | None = Field(default=None, min_length=1, description="PEM file of its private key, unencrypted.")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="How to log in (SASL)."
    )
    username: str | None = Field(default=None, min_length=1, description="For PLAIN and SCRAM.")
    password: SecretText | None = Field(
        default=None, description="For PLAIN and SCRAM; `{env: NAME}` or `{file: PATH}`."
    )
    oauth: OAuthSection | None = Field(default=None, description="For OAUTHBEARER.")


class TopicsSection(Section):
    """How `gateway topics create` makes the topics, and what a start asks of them."""

    partitions: int = Field(
        default=12,
        ge=1,
        le=65_536,
        description="Of each source's topic: how many workers may share a router. Changing it later moves keys.",
    )
    replication: int = Field(default=3, ge=1, le=32_767, description="Copies of each partition; 1 for a single broker.")
    min_insync: int = Field(default=2, ge=1, description="Copies an event must have before its sender is answered 200.")


class DedupeSection(Section):
    """What each edge process remembers of stored events. It spares work; the marks are the guarantee."""

    max_ids: int = Field(
        default=2_000_000, ge=1, description="Event ids held in memory; the oldest are forgotten first."
    )
    warm: Duration = _written("15m", "How far back a starting edge reads what was stored, its own and others'.")


class KafkaLogSection(LogSection):
    """The event log on Kafka, for several edges and workers. `store` must then be Postgres.

    The keys of the embedded log hold here, too: `path` is the folder of this machine's sockets and rejections,
    `retention` that of the topics, and `max_bytes` and `min_free` are for the spool's disk.
    """

    engine: Literal["kafka"] = Field(description="Chooses this engine.")
    bootstrap: Brokers = Field(description="Brokers to begin with: a list of `host:port`, or one text with commas.")
    prefix: Prefix = Field(
        default="webhooks", description="What topics and consumer groups begin with; one for each gateway."
    )
    security: SecuritySection = Field(default_factory=SecuritySection, description="Encryption and login.")
    topics: TopicsSection = Field(default_factory=TopicsSection, description="Partitions and copies.")
    spool: str | None = Field(
        default=None,
        min_length=1,
        description="Folder for events that Kafka cannot take now; without it they are answered 503.",
    )
    dedupe: DedupeSection = Field(default_factory=DedupeSection, description="The memory of stored ids.")


class StoreSection(Section):
    """The keys that the stores of all engines have."""

    engine: Literal["sqlite", "postgres"]
    marks: Duration = _written(
        "90d",
        "How long a mark is kept; at least the log's retention and each source's dedupe window together, "
        "which is the default where that is longer.",
    )


class SqliteStoreSection(StoreSection):
    """Where the marks of finished handlers are kept."""

    engine: Literal["sqlite"] = Field(
        default="sqlite", description="`sqlite` for one machine; `postgres` for several, and for tables you share."
    )


class PostgresStoreSection(StoreSection):
    """Marks, and the handlers' tables, in Postgres. `gateway store migrate` makes the gateway's own tables."""

    engine: Literal["postgres"] = Field(description="Chooses this engine.")
    dsn: SecretText = Field(
        description="Where it is: `{env: DATABASE_URL}`, such as `postgresql://user:password@host/database`."
    )
    connections: int = Field(default=10, ge=2, le=1000, description="Connections of each worker at most.")


class SecretSection(Section):
    """One active secret: from the environment, or from a file. During a rotation list the new and the old one."""

    label: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
        description="Its name in metrics and logs; the variable's or file's name if left out.",
    )
    env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="Environment variable with the secret."
    )
    file: str | None = Field(
        default=None, min_length=1, description="File with the secret; a newline at its end does not count."
    )
    dev: str | None = Field(
        default=None,
        min_length=1,
        description="A development secret, written here; on loopback only, and only if `env` or `file` gives none.",
    )


class FinalSection(Section):
    """When a fetched object may be used; until then it is asked for again, in growing pauses, within the run."""

    path: str = Field(min_length=1, description="Where in its JSON to look, such as `status`.")
    values: list[str] = Field(min_length=1, description="One of these must stand there.")


class FetchSection(Section):
    """How handlers get the objects that this source's events only name: `ctx.fetch()`."""

    credential: SecretText = Field(description="The API's key or token: `{env: NAME}` or `{file: PATH}`.")
    hosts: list[Authority] = Field(
        default=[],
        description="Hosts that may be asked, instead of the provider's; the first is that of paths.",
    )
    rate: Rate = _written("10/s", "Requests that each worker makes at most.")
    send: str | None = Field(
        default=None,
        pattern=r"^(bearer|basic|header:[A-Za-z0-9-]+)$",
        description="How the credential is sent: `bearer`, `basic`, or `header:NAME`.",
    )
    object: str | None = Field(
        default=None,
        pattern=r"^(/|https?://|\{)",
        description="Where the object stands: a path such as `/v1/orders/{json:id}`, a URL, or `{json:url}`.",
    )
    final: FinalSection | None = Field(default=None, description="When the object may be used; at once if left out.")
    headers: dict[HeaderName, str] = Field(default={}, description="Further headers of every request.")
    private: bool = Field(
        default=False, description="The hosts may be in this network, and `http` is allowed in `object`."
    )


class QuarantineSection(Section):
    """Deliveries that do not verify are kept as they came, to be readmitted once the secret is mended."""

    max_bytes: Size = _written("64MiB", "How much of the disk they may take; the oldest are forgotten first.")
    max_age: Duration = _written("3d", "How long they are kept.")


class SourceSection(Section):
    """One endpoint, `/webhooks/<name>`. What is left out, the provider decides."""

    provider: str = Field(description="Who sends: one of `gateway providers`, or `custom` with a scheme of your own.")
    secrets: list[SecretSection] = Field(
        default=[],
        description="Active secrets; a delivery signed with any of them is accepted. "
        "Providers whose keys are fetched have none.",
    )
    settings: dict[str, str | list[str]] = Field(
        default={}, description="What the provider asks for beside secrets; `gateway providers NAME` tells."
    )
    allow_unverified: bool = Field(
        default=False, description="Take deliveries that nothing proves, from providers that sign nothing."
    )
    tolerance: Duration | None = Field(
        default=None, description="How far a signed timestamp may be from now, both ways."
    )
    dedupe_window: Duration | None = Field(default=None, description="How long an event's id is remembered.")
    max_body: Size | None = Field(default=None, description="Largest body; a larger one is answered 413.")
    deadline: Duration | None = Field(default=None, description="A delivery is answered by then, if need be with 503.")
    rate: Rate | None = Field(
        default=None,
        description="Verified deliveries that each edge process accepts, such as `100/s`; more are answered 429.",
    )
    order_by: str | None = Field(
        default=None,
        min_length=1,
        description="Where the ordering key is: `json:`, `header:`, `form:` or `query:` and a path.",
    )
    on_conflict: Literal["dead", "run", "skip"] = Field(
        default="dead", description="What becomes of an event whose unsigned id came before with another body."
    )
    on_replay: Literal["flag", "refuse"] = Field(
        default="flag", description="What becomes of an old body under a new unsigned id."
    )
    public_url: PublicUrl | None = Field(
        default=None, description="This source's URL as its sender knows it, where it differs from `server.public_url`."
    )
    allow_ips: list[Sender] = Field(
        default=[],
        description="Networks that may send, and `provider` for the addresses it publishes; empty for all.",
    )
    content_types: list[str] = Field(
        default=[], description="Content types taken; others are answered 415. Empty for all."
    )
    keep_headers: list[HeaderName] = Field(
        default=[], description="Request headers kept with the event, beside the provider's own."
    )
    require: Contracts = Field(
        default=None,
        description="JSON Schemas that events must fit, by type, or `provider`; see [contracts](contracts.md).",
    )
    quarantine: QuarantineSection | None = Field(
        default=None,
        description="Keep what does not verify, for `gateway quarantine`; `{}` for its defaults. Off if left out.",
    )
    fetch: FetchSection | None = Field(default=None, description="The API that `ctx.fetch` asks.")
    scheme: dict[str, Any] | None = Field(default=None, description="How `custom` deliveries are signed.")
    event: dict[str, Any] | None = Field(
        default=None, description="Where `custom` deliveries carry their id, type, time and key."
    )


class RouterSection(Section):
    """A router to run: your handlers, in a process of their own."""

    use: Use = Field(description="`package.module:attribute`, or the name of an installed router.")
    concurrency: int = Field(default=32, ge=1, le=10_000, description="Handlers of this router that run at a time.")


class Configuration(Section):
    """The configuration of one gateway."""

    server: ServerSection = Field(default_factory=ServerSection)
    log: SqliteLogSection | KafkaLogSection = Field(default_factory=SqliteLogSection)
    store: SqliteStoreSection | PostgresStoreSection = Field(default_factory=SqliteStoreSection)
    sources: dict[Name, SourceSection] = Field(min_length=1, description="The endpoints, by name.")
    routers: dict[Name, RouterSection] = Field(default={}, description="The routers to run, by name.")
