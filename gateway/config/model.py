"""The rules of the configuration, as pydantic models: every key, its form, its default and its meaning.

The JSON Schema and `docs/configuration.md` are generated from here. Frozen values for the rest of the program are made
from these in `gateway.config.load`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.values import Duration, HeaderName, Name, Network, PublicUrl, Rate, Size, Use


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
    max_connections: int = Field(default=4096, ge=1, description="Connections open at a time; more are answered 503.")
    max_buffered: Size = _written("256MiB", "Bytes of request bodies held before they are verified, in all.")
    max_buffered_per_client: Size = _written("64MiB", "The same for one client address.")
    drain: Duration = _written("20s", "How long a stopping gateway waits for what it has begun.")


class LogSection(Section):
    """The event log: every accepted event, durable before its sender is answered."""

    engine: Literal["sqlite"] = Field(default="sqlite", description="This version runs the embedded engine.")
    path: str = Field(
        default="var",
        min_length=1,
        description="Folder of the log and of all state; relative to the current directory.",
    )
    retention: Duration = _written("14d", "How long handled events are kept.")
    max_bytes: Size = _written("20GiB", "How much of the disk the log may take.")
    min_free: Size = _written("1GiB", "With less than this free on the disk, deliveries are answered 503.")
    max_queued_events: int = Field(default=20_000, ge=1, description="Events that may wait in memory for the disk.")
    max_queued_bytes: Size = _written("64MiB", "Bytes that may wait in memory for the disk.")


class StoreSection(Section):
    """Where the marks of finished handlers are kept."""

    engine: Literal["sqlite"] = Field(default="sqlite", description="This version runs the embedded engine.")
    marks: Duration = _written(
        "90d",
        "How long a mark is kept; at least the log's retention and each source's dedupe window together.",
    )


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


class SourceSection(Section):
    """One endpoint, `/webhooks/<name>`. What is left out, the provider decides."""

    provider: str = Field(description="Who sends: one of `gateway providers`, or `custom` with a scheme of your own.")
    secrets: list[SecretSection] = Field(
        min_length=1, description="Active secrets; a delivery signed with any of them is accepted."
    )
    tolerance: Duration | None = Field(
        default=None, description="How far a signed timestamp may be from now, both ways."
    )
    dedupe_window: Duration | None = Field(default=None, description="How long an event's id is remembered.")
    max_body: Size | None = Field(default=None, description="Largest body; a larger one is answered 413.")
    deadline: Duration | None = Field(default=None, description="A delivery is answered by then, if need be with 503.")
    rate: Rate | None = Field(
        default=None, description="Verified deliveries accepted, such as `100/s`; more are answered 429."
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
    allow_ips: list[Network] = Field(default=[], description="Networks that may send; empty for all.")
    content_types: list[str] = Field(
        default=[], description="Content types taken; others are answered 415. Empty for all."
    )
    keep_headers: list[HeaderName] = Field(
        default=[], description="Request headers kept with the event, beside the provider's own."
    )
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
    log: LogSection = Field(default_factory=LogSection)
    store: StoreSection = Field(default_factory=StoreSection)
    sources: dict[Name, SourceSection] = Field(min_length=1, description="The endpoints, by name.")
    routers: dict[Name, RouterSection] = Field(default={}, description="The routers to run, by name.")
