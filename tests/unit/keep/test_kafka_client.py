"""How the connection's settings become the client's arguments, and what is wrong with those that cannot."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.core.errors import ConfigError
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.tokens import OAuth, TokenProvider

OAUTH = OAuth(token_url="https://login.example.com/token", client_id="gateway", client_secret="s3cret-value")


def cluster(**over: Any) -> Cluster:
    return Cluster(**{"bootstrap": ("k1:9092", "k2:9092"), **over})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cert.pem`, its key, and that key encrypted."""
    folder = tmp_path_factory.mktemp("pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / "locked.pem").write_bytes(key.private_bytes(pem, form, serialization.BestAvailableEncryption(b"word")))
    return folder


def test_without_security_it_connects_in_the_clear() -> None:
    arguments = client_arguments(cluster(client_id="edge-1"))

    assert arguments["bootstrap_servers"] == ["k1:9092", "k2:9092"]
    assert arguments["client_id"] == "edge-1"
    assert arguments["security_protocol"] == "PLAINTEXT"
    assert not [name for name in arguments if name.startswith(("ssl", "sasl"))]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_password_goes_with_its_mechanism(mechanism: Any, *, tls: bool) -> None:
    arguments = client_arguments(cluster(mechanism=mechanism, username="u", password="p", tls=tls))

    assert arguments["security_protocol"] == ("SASL_SSL" if tls else "SASL_PLAINTEXT")
    assert arguments["sasl_mechanism"] == mechanism
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "p")


async def test_tokens_are_provided_for_oauthbearer() -> None:
    arguments = client_arguments(cluster(mechanism="OAUTHBEARER", oauth=OAUTH, tls=True))

    assert arguments["sasl_mechanism"] == "OAUTHBEARER"
    assert isinstance(arguments["sasl_oauth_token_provider"], TokenProvider)


def test_tls_checks_the_brokers_certificate_and_name(files: Path) -> None:
    context = client_arguments(
        cluster(tls=True, ca=files / "cert.pem", cert=files / "cert.pem", key=files / "key.pem")
    )["ssl_context"]

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    "over, words",
    [
        ({"bootstrap": ()}, "log.bootstrap"),
        ({"ca": Path("ca.pem")}, "tls: true"),
        ({"tls": True, "cert": Path("cert.pem")}, "cert and key"),
        ({"mechanism": "PLAIN", "username": "u"}, "username and password"),
        ({"mechanism": "OAUTHBEARER"}, "log.security.oauth"),
    ],
)
def test_settings_that_contradict_each_other_are_named(over: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        client_arguments(cluster(**over))


@pytest.mark.parametrize(
    "over, words",
    [
        ({"ca": "absent.pem"}, "No such file"),
        ({"ca": "key.pem"}, "no PEM file"),
        ({"cert": "absent.pem", "key": "key.pem"}, "No such file"),
        ({"cert": "cert.pem", "key": "locked.pem"}, "encrypted"),
        ({"cert": "key.pem", "key": "cert.pem"}, "not a pair"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(files: Path, over: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        client_arguments(cluster(tls=True, **{name: files / file for name, file in over.items()}))

    assert all(str(files / file) in str(refused.value) for file in over.values())
    assert "give PEM files that this user may read" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "https://user:word@login.example.com/token",
        "ftp://login.example.com/token",
        "https:///token",
        "https://login.example.com:port/token",
        "login.example.com/token",
    ],
)
async def test_a_secret_is_sent_over_https_alone(url: str) -> None:
    oauth = OAuth(token_url=url, client_id="gateway", client_secret="s3cret-value")

    with pytest.raises(ConfigError, match=r"log\.security\.oauth\.token_url"):
        client_arguments(cluster(mechanism="OAUTHBEARER", oauth=oauth))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/token", "http://[::1]/token", "http://localhost/token"])
async def test_the_loopback_is_exempt(url: str) -> None:
    oauth = OAuth(token_url=url, client_id="gateway", client_secret="s3cret-value")

    assert client_arguments(cluster(mechanism="OAUTHBEARER", oauth=oauth))


def test_no_secret_is_shown() -> None:
    shown = repr(cluster(mechanism="PLAIN", username="u", password="pass-word", oauth=OAUTH))

    assert "pass-word" not in shown
    assert "s3cret-value" not in shown
