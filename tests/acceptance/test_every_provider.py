"""One gateway with a source for every provider that can be signed for: each one's first example is taken and listed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time_ns
from typing import Any

import pytest

from gateway.cli.send import post
from gateway.config.load import read
from gateway.core.source import Source
from gateway.providers.examples import example
from tests.catalogue import shapes
from tests.provider_shape import ProviderShape
from tests.running import RunningGateway, running

# Those whose key only the provider holds would be asked for at its host.
SIGNABLE = {name: shape for name, shape in shapes().items() if shape.provider.secrets != "none"}


def _source(name: str) -> str:
    return name.replace("_", "-")


def _section(name: str, shape: ProviderShape, folder: Path) -> Mapping[str, Any]:
    section: dict[str, Any] = {"provider": name}
    if shape.secret is None:
        section["allow_unverified"] = True
    else:
        path = folder / f"{name}.secret"
        path.write_text(shape.secret)
        path.chmod(0o600)
        section["secrets"] = [{"file": str(path)}]
    settings = {key: list(texts) if len(texts) > 1 else texts[0] for key, texts in shape.settings.items()}
    return {**section, **({"settings": settings} if settings else {})}


def _config(folder: Path) -> str:
    sources = {_source(name): _section(name, shape, folder) for name, shape in SIGNABLE.items()}
    # Braces are the rig's placeholders.
    listed = json.dumps(sources, indent=1).replace("{", "{{").replace("}", "}}")
    return f"""
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}, public_url: "https://hooks.example.com"}}}}
log: {{{{engine: sqlite, path: var, min_free: 1MiB}}}}
sources: {listed}
store: {{{{marks: 400d}}}}
routers:
  ledger: {{{{use: "ledger_handlers:router"}}}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("every")
    with running(folder, config=_config(folder)) as started:
        yield started


@pytest.fixture(scope="module")
def answered(gateway: RunningGateway) -> Mapping[str, int]:
    """Send the first example of each, by the source that `gateway send` compiles from the same file."""
    compiled = read(gateway.folder / "gateway.yaml", {}).compiled
    return {name: _sent(gateway, compiled[_source(name)], shape) for name, shape in SIGNABLE.items()}


def _sent(gateway: RunningGateway, source: Source, shape: ProviderShape) -> int:
    assert source.sign is not None
    asked = example(shape.provider, event_id=f"evt-{source.name}", now_us=time_ns() // 1000)
    return post(f"http://127.0.0.1:{gateway.port}/webhooks/{source.name}", source.sign(asked)).status


@pytest.fixture(scope="module")
def listed(gateway: RunningGateway, answered: Mapping[str, int]) -> Mapping[str, str]:
    said = gateway.command("events", "list", "--config", "gateway.yaml", "--output", "json", "--limit", "1000")
    assert said.returncode == 0, said.stderr
    return {event["source"]: event["id"] for event in json.loads(said.stdout)}


@pytest.mark.parametrize("name", SIGNABLE)
def test_a_provider_s_example_is_taken_and_listed(
    answered: Mapping[str, int], listed: Mapping[str, str], name: str
) -> None:
    assert 200 <= answered[name] < 300
    assert listed[_source(name)]
