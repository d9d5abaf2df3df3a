"""TLS and SASL against a real broker: each way to connect appends, and a wrong secret does not."""

import json
import secrets
import subprocess
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from time import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.kafka import JARS
from deploy.local.processes import free_ports
from gateway.keep.envelope import Record
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.driver import UnreachableError
from gateway.keep.kafka.producer import Producer
from gateway.keep.kafka.tokens import OAuth
from tests.kafka_rig import Kafka, create_topics
from tests.log_builders import until

USER, WORD = "alice", "alice-secret"
_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Guarded:
    """A broker with listeners for SASL over TLS and for client certificates, and `open`, which asks for nothing."""

    sasl: Cluster
    mutual: Cluster
    open: str
    token_port: int


@pytest.fixture(scope="module")
def guarded(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory, token_port: int) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("tls")
    _certificates(folder)
    sasl, mutual = free_ports(2)
    settings = {"auto.create.topics.enable": "false"}
    server = Kafka(settings=settings)
    settings |= _settings(folder, server, sasl, mutual)
    try:
        server.start()
        _add_scram_user(server.bootstrap)
        by_password = Cluster(bootstrap=(f"127.0.0.1:{sasl}",), tls=True, ca=folder / "ca.pem")
        by_certificate = replace(
            by_password, bootstrap=(f"127.0.0.1:{mutual}",), cert=folder / "client.pem", key=folder / "client.pem"
        )
        yield Guarded(by_password, by_certificate, server.bootstrap, token_port)
    finally:
        server.end()


def _settings(folder: Path, server: Kafka, sasl: int, mutual: int) -> dict[str, str]:
    node = server.broker.node
    ports = {
        "CLIENT": node.port, "PEER": node.peer_port, "CONTROLLER": node.controller_port, "SASL": sasl, "MUTUAL": mutual
    }  # fmt: skip
    protocols = dict.fromkeys(ports, "PLAINTEXT") | {"SASL": "SASL_SSL", "MUTUAL": "SSL"}
    listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
    user = f'username="{USER}" password="{WORD}"'
    return {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(where for name, where in listeners.items() if name != "CONTROLLER"),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{_MODULES}.plain.PlainLoginModule required {user} user_{USER}="{WORD}";'
        ),
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
        "listener.name.sasl.oauthbearer.sasl.jaas.config": (
            f'{_MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
        ),
    }


def _certificates(folder: Path) -> None:
    """Write `ca.pem`, and `broker.pem` and `client.pem`, each a key and its certificate."""
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("authority")
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(_certificate(issuer, authority, issuer, authority, ca=True).public_bytes(pem))
    for who in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(_name(who), key, issuer, authority, ca=False)
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{who}.pem").write_bytes(secret + certificate.public_bytes(pem))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, key: Any, issuer: x509.Name, authority: Any, *, ca: bool) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
        )
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(authority, hashes.SHA256())
    )


def _add_scram_user(bootstrap: str) -> None:
    secret = f"SCRAM-SHA-512=[iterations=4096,password={WORD}]"
    words = ["--bootstrap-server", bootstrap, "--alter", "--add-config", secret, "--entity-type", "users"]
    subprocess.run(
        ["java", "-cp", f"{JARS}/*", "kafka.admin.ConfigCommand", *words, "--entity-name", USER],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip


@pytest.fixture(scope="module")
def token_port() -> Iterator[int]:
    """The port of a token server, whose tokens are not signed: this broker takes them all the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"access_token": _token(), "expires_in": 600}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http.server_address[1]
    http.shutdown()
    thread.join()
    http.server_close()


def _token() -> str:
    now = time()
    parts = ({"alg": "none"}, {"sub": "gateway", "iat": now, "exp": now + 600})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


async def append(cluster: Cluster, topic: str) -> int:
    """Append a record as the edge does, and return its offset."""
    before = open_files()
    producer = Producer(client_arguments(cluster))
    try:
        await producer.start()
        assert await producer.find([topic]) == {topic: 1}
        return await producer.produce(topic, 0, [Record(b"k", b"v", [])])
    finally:
        await producer.stop()
        await until(lambda: open_files() <= before, "the end of its connections")


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
async def topic(guarded: Guarded) -> str:
    name = f"t{secrets.token_hex(4)}"
    await create_topics(guarded.open, name)
    return name


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_password_over_tls_appends(guarded: Guarded, topic: str, mechanism: Any) -> None:
    assert await append(replace(guarded.sasl, mechanism=mechanism, username=USER, password=WORD), topic) == 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_reaches_nothing_and_is_not_told(guarded: Guarded, topic: str, mechanism: Any) -> None:
    wrong = replace(guarded.sasl, mechanism=mechanism, username=USER, password="wrong-secret")

    with pytest.raises(UnreachableError) as refused:
        await append(wrong, topic)

    assert "wrong-secret" not in str(refused.value)


async def test_a_token_appends(guarded: Guarded, topic: str) -> None:
    oauth = OAuth(token_url=f"http://127.0.0.1:{guarded.token_port}/", client_id="gateway", client_secret="s")

    assert await append(replace(guarded.sasl, mechanism="OAUTHBEARER", oauth=oauth), topic) == 0


async def test_no_token_reaches_nothing(guarded: Guarded, topic: str) -> None:
    oauth = OAuth(token_url="http://127.0.0.1:1/", client_id="gateway", client_secret="s")

    with pytest.raises(UnreachableError):
        await append(replace(guarded.sasl, mechanism="OAUTHBEARER", oauth=oauth), topic)


async def test_a_certificate_of_our_own_appends(guarded: Guarded, topic: str) -> None:
    assert await append(guarded.mutual, topic) == 0


async def test_a_broker_that_asks_for_a_certificate_refuses_without(guarded: Guarded, topic: str) -> None:
    with pytest.raises(UnreachableError):
        await append(replace(guarded.mutual, cert=None, key=None), topic)


async def test_a_broker_whose_certificate_is_of_another_authority_is_not_trusted(guarded: Guarded, topic: str) -> None:
    with pytest.raises(UnreachableError):
        await append(replace(guarded.sasl, ca=None, mechanism="PLAIN", username=USER, password=WORD), topic)
