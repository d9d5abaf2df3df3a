"""How to reach the cluster: one value, turned into the arguments that every aiokafka client takes.

Each call of `client_arguments` reads the PEM files and makes a token provider of its own, so call it once for each
thread and keep the result: a client that is rebuilt then keeps its token, too. The caller adds its timeouts.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.core.errors import ConfigError
from gateway.keep.kafka.tokens import OAuth, TokenProvider

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the brokers are, and who we are.

    Attributes:
        bootstrap: `host:port` of some brokers; the others are learned from them.
        client_id: shown in the brokers' logs and quotas.
        tls: encrypt; the brokers' certificates are checked against `ca`, or the system's authorities.
        ca: PEM file of authorities.
        cert: PEM file of our own certificate, with `key`.
        key: PEM file of its key, not encrypted.
        mechanism: of SASL, or None.
        username: for PLAIN and SCRAM, with `password`.
        password: of that user.
        oauth: for OAUTHBEARER.
    """

    bootstrap: tuple[str, ...]
    client_id: str = "webhook-gateway"
    tls: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    mechanism: Mechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuth | None = None


def client_arguments(cluster: Cluster) -> dict[str, Any]:
    """Return the keyword arguments for aiokafka's producer, consumer and admin client alike.

    Raises:
        ConfigError: a file cannot be read, or the settings contradict each other.
    """
    _check(cluster)
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(cluster.bootstrap),
        "client_id": cluster.client_id,
        "security_protocol": _protocol(cluster),
        "retry_backoff_ms": 100,
        "metadata_max_age_ms": 60_000,
        # Below what load balancers and firewalls forget after; aiokafka sets no TCP keepalive.
        "connections_max_idle_ms": 180_000,
    }
    if cluster.tls:
        arguments["ssl_context"] = _tls_context(cluster)
    if cluster.mechanism == "OAUTHBEARER" and cluster.oauth is not None:
        arguments |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": TokenProvider(cluster.oauth)}
    elif cluster.mechanism is not None:
        arguments |= {
            "sasl_mechanism": cluster.mechanism,
            "sasl_plain_username": cluster.username,
            "sasl_plain_password": cluster.password,
        }
    return arguments


def _protocol(cluster: Cluster) -> str:
    return ("SASL_" if cluster.mechanism else "") + ("SSL" if cluster.tls else "PLAINTEXT")


def _check(cluster: Cluster) -> None:
    if not cluster.bootstrap:
        raise ConfigError("log.bootstrap names no broker; write bootstrap: [host:9092]")
    if not cluster.tls and (cluster.ca or cluster.cert or cluster.key):
        raise ConfigError("log.security has TLS files but tls is off; set log.security.tls: true, or remove the files")
    if (cluster.cert is None) != (cluster.key is None):
        raise ConfigError("log.security needs cert and key together, or neither")
    if cluster.mechanism == "OAUTHBEARER":
        if cluster.oauth is None:
            raise ConfigError("log.security.mechanism OAUTHBEARER needs log.security.oauth")
    elif cluster.mechanism is not None and not (cluster.username and cluster.password):
        raise ConfigError(f"log.security.mechanism {cluster.mechanism} needs username and password")


def _tls_context(cluster: Cluster) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cluster.ca)
    except (OSError, ssl.SSLError) as error:
        raise _unreadable("ca", cluster.ca, error) from None
    if cluster.cert is None:
        return context
    try:
        # An empty password fails where none would make OpenSSL ask for it on the terminal.
        context.load_cert_chain(cluster.cert, cluster.key, password="")
    except (OSError, ssl.SSLError) as error:
        raise _unreadable("cert and key", f"{cluster.cert}, {cluster.key}", error) from None
    return context


def _unreadable(what: str, where: object, error: OSError) -> ConfigError:
    why = "no PEM file, encrypted, or not a pair" if isinstance(error, ssl.SSLError) else error.strerror
    return ConfigError(f"log.security: cannot use {what} ({where}): {why}; give PEM files that this user may read")
