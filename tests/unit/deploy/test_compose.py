"""The containers: what they name is in the repository, and the gateway starts on what they are given."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.cli.main import main
from gateway.config.load import load
from tests.dashboard import DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
GIVEN = {
    "POSTGRES_PASSWORD": "canary",
    "STRIPE_WEBHOOK_SECRET": "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnk",
    "GITHUB_WEBHOOK_SECRET": "canary-canary-canary",
}


def yaml(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return loaded


COMPOSE = yaml(DEPLOY / "compose.yaml")
SERVICES: Mapping[str, dict[str, Any]] = COMPOSE["services"]
GATEWAYS = {name: service for name, service in SERVICES.items() if service["image"] == "webhook-gateway"}

every_gateway = pytest.mark.parametrize("service", GATEWAYS.values(), ids=list(GATEWAYS))


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what the service's process sees, given all that the file asks for."""
    return {
        name: re.sub(r"\$\{(\w+):\?[^}]+\}", lambda found: GIVEN[found[1]], str(value))
        for name, value in service["environment"].items()
    }


def commands(service: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the words of each gateway command that the service runs."""
    if service.get("entrypoint") == ["sh", "-c"]:
        (script,) = service["command"]
        for line in script.split(" && "):
            program, *words = line.split()
            assert program == "gateway"
            yield words
    else:
        assert "entrypoint" not in service
        yield service["command"]


def mounts() -> Iterator[tuple[str, str]]:
    """Yield (from, to) of each mount."""
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source, target, *_ = mount.split(":")
            yield source, target


def copied() -> Iterator[str]:
    """Yield each path of the repository that goes into the image."""
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        yield from line.split()[:-1]


def test_what_is_mounted_is_in_the_repository_or_a_volume_of_its_own() -> None:
    paths = {source for source, _ in mounts() if source.startswith(".")}
    names = {source for source, _ in mounts()} - paths

    assert [path for path in paths if not (DEPLOY / path).exists()] == []
    assert names == set(COMPOSE["volumes"])


def test_dependencies_are_there_and_tell_what_is_waited_for() -> None:
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "test" in SERVICES[name]["healthcheck"]


@every_gateway
def test_a_gateway_runs_commands_that_there_are(service, capsys) -> None:
    for words in commands(service):
        assert main([*words, "--help"]) == 0, capsys.readouterr().err


@every_gateway
def test_a_gateway_is_given_a_configuration_that_loads(service) -> None:
    environ = environment(service)

    settings = load(ROOT / environ["GATEWAY_CONFIG"], environ)

    assert settings.log.kafka is not None
    assert settings.log.kafka.bootstrap == ("kafka:9092",)
    assert settings.store.dsn == "postgresql://gateway:canary@postgres:5432/gateway"
    assert {settings.server.host, settings.server.admin_host} == {"0.0.0.0"}
    assert {secret.label for source in settings.sources for secret in source.secrets}.isdisjoint({"dev"})


def test_the_database_and_the_gateway_are_told_the_same() -> None:
    told = environment(SERVICES["postgres"])

    assert (told["POSTGRES_USER"], told["POSTGRES_PASSWORD"], told["POSTGRES_DB"]) == ("gateway", "canary", "gateway")


def test_the_broker_is_told_to_its_clients_by_the_name_they_find_it_under() -> None:
    told = environment(SERVICES["kafka"])

    assert told["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://kafka:9092"
    assert told["KAFKA_LOG_DIRS"] in {target for source, target in mounts() if source == "kafka"}


def test_the_broker_is_the_version_that_the_tests_run_on() -> None:
    tested = re.search(r"kafka_2\.13</artifactId>\s*<version>([\d.]+)<", (ROOT / "tests/kafka/pom.xml").read_text())

    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"


def test_every_image_is_of_a_named_version() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"webhook-gateway"}

    assert [image for image in images if not re.search(r":v?\d", image)] == []


def test_only_the_endpoint_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == ["8080:8080"]
    assert not [port for port in ports if port.endswith(":8081")], "the admin port is for Prometheus alone"


def test_prometheus_asks_every_gateway_that_stays() -> None:
    own, usual = yaml(DEPLOY / "prometheus/compose.yml"), yaml(DEPLOY / "prometheus/prometheus.yml")
    (scrape,), (usual_scrape,) = own["scrape_configs"], usual["scrape_configs"]
    (found,) = scrape.pop("dns_sd_configs")
    usual_scrape.pop("static_configs")

    assert own == usual
    assert set(found["names"]) == {name for name, service in GATEWAYS.items() if "restart" in service}
    assert found["port"] == 8081


def test_what_the_image_copies_is_there_and_let_through() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    let_through = [line[1:] for line in lines if line.startswith("!")]

    assert lines[0] == "*"
    for path in copied():
        assert (ROOT / path).exists(), path
        assert any(fnmatch.fnmatch(path, each) or path.startswith(f"{each}/") for each in let_through), path
    assert {"gateway", "handlers", "config"} <= set(copied())


def test_the_image_runs_as_no_root_and_is_healthy_when_it_is_ready() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["gateway"]
    assert re.search(r"^HEALTHCHECK (.*\n)*?.*/readyz", last, re.MULTILINE)


def test_what_must_outlive_a_container_is_on_a_volume() -> None:
    (state,) = re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE)
    (folder,) = re.findall(r"^WORKDIR (.*)$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
    settings = load(ROOT / environment(GATEWAYS["edge"])["GATEWAY_CONFIG"], environment(GATEWAYS["edge"]))
    assert settings.log.kafka is not None
    assert settings.log.kafka.spool is not None

    assert ("edge", state) in set(mounts())
    assert (Path(folder) / settings.log.kafka.spool).is_relative_to(state)


def test_grafana_finds_its_files_where_the_page_says() -> None:
    page = (DEPLOY / "README.md").read_text()
    rows = re.findall(r"^\| `(grafana/\S+)` \| `(\S+)` \|$", page, re.MULTILINE)

    assert len(rows) == 3
    assert {(f"./{source}", target) for source, target in rows} <= set(mounts())
