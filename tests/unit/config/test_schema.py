import json
from pathlib import Path

import jsonschema
import pytest

from gateway.config import document
from gateway.config.load import load
from gateway.config.reference import CUSTOM_EXAMPLES, page
from gateway.config.schema import json_schema
from tests.configuration import KAFKA, KAFKA_ENVIRON, VALID, problems

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "gateway/cli/templates/gateway.yaml"
SHIPPED = ROOT / "config/gateway.yaml"
SHIPPED_KAFKA = ROOT / "config/gateway.kafka.yaml"


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


def tree(folder: Path, text: str) -> object:
    (folder / "gateway.yaml").write_text(text)
    return document.read(folder / "gateway.yaml").tree


def test_the_schema_is_json():
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("path", [SHIPPED, SHIPPED_KAFKA, TEMPLATE], ids=["shipped", "for kafka", "template"])
def test_what_is_shipped_fits_the_schema_and_loads_without_any_environment(path):
    validator().validate(document.read(path).tree)

    settings = load(path, {})

    assert {source.name for source in settings.sources} == {"stripe", "github"}
    assert all(secret.label == "dev" for source in settings.sources for secret in source.secrets)


def test_the_gateway_on_kafka_is_shipped_with_the_same_sources_and_routers():
    embedded, kafka = document.read(SHIPPED).tree, document.read(SHIPPED_KAFKA).tree

    assert (kafka["sources"], kafka["routers"]) == (embedded["sources"], embedded["routers"])


def test_the_commented_examples_for_kafka_are_right(tmp_path):
    text = SHIPPED_KAFKA.read_text()
    for line in ("dedupe:", "security:", "  tls:", "  ca:", "  mechanism:", "  username:", "  password:"):
        assert f"  # {line}" in text
        text = (
            text.replace(f"  # {line}", f"  {line}", 1)
            if line != "  tls:"
            else text.replace("  #   tls: true", "    tls: true")
        )

    validator().validate(tree(tmp_path, text))
    assert problems(tmp_path, text, {"KAFKA_PASSWORD": "x"}) == []


def test_the_commented_example_of_a_custom_source_is_right(tmp_path):
    text = SHIPPED.read_text()
    begins = text.index("  # acme:")
    ends = text.index("\nrouters:")
    example = text[begins:ends].replace("  # ", "  ")

    assert problems(tmp_path, text[:begins] + example + text[ends:], {"ACME_WEBHOOK_SECRET": "x"}) == []


@pytest.mark.parametrize("example", [text for _, text in CUSTOM_EXAMPLES], ids=[title for title, _ in CUSTOM_EXAMPLES])
def test_the_documented_custom_examples_are_right(tmp_path, example):
    indented = "".join(f"    {line}\n" for line in example.splitlines())
    text = f"sources:\n  acme:\n    provider: custom\n    secrets: [{{env: ACME}}]\n{indented}"

    validator().validate(tree(tmp_path, text))
    assert problems(tmp_path, text, {"ACME": "x"}) == []


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("port: 8080", "port: {env: PORT, default: 8080}", id="a reference"),
        pytest.param("port: 8080", "drain: 20s", id="a duration"),
        pytest.param("log:\n  path: var\n  retention: 14d\n", "log:\n", id="an empty section"),
    ],
)
def test_the_schema_takes_what_the_loader_takes(tmp_path, old, new):
    text = VALID.replace(old, new)

    validator().validate(tree(tmp_path, text))
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("hooks", "hooks", id="as it is"),
        pytest.param('[k1:9092, "[::1]:9093"]', "k1:9092,k2:9092", id="brokers in one text"),
        pytest.param('[k1:9092, "[::1]:9093"]', '{env: X, default: "k1:9092"}', id="brokers from elsewhere"),
        pytest.param("topics: {partitions: 6}", "topics: {partitions: {env: X, default: 6}}", id="a reference"),
        pytest.param("  spool: var/spool\n", "  dedupe: {max_ids: 5, warm: 1m}\n", id="no spool"),
    ],
)
def test_the_schema_takes_what_the_loader_takes_for_kafka(tmp_path, old, new):
    text = KAFKA.replace(old, new)

    validator().validate(tree(tmp_path, text))
    assert problems(tmp_path, text, KAFKA_ENVIRON) == []


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("  engine: kafka\n", "", id="kafka's keys on the embedded log"),
        pytest.param('  bootstrap: [k1:9092, "[::1]:9093"]\n', "", id="no brokers"),
        pytest.param('[k1:9092, "[::1]:9093"]', "[]", id="an empty list of brokers"),
        pytest.param("SCRAM-SHA-512", "scram", id="an unknown mechanism"),
        pytest.param("prefix: hooks", "prefix: hooks/", id="a prefix that makes no topic"),
        pytest.param("engine: postgres", "engine: sqlite", id="a DSN on the embedded store"),
        pytest.param("partitions: 6", "partitions: 0", id="no partition"),
        pytest.param("partitions: 6", "partition: 6", id="an unknown key below"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses_for_kafka(tmp_path, old, new):
    text = KAFKA.replace(old, new)

    assert not validator().is_valid(tree(tmp_path, text))
    assert problems(tmp_path, text, KAFKA_ENVIRON)


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("port: 8080", "prot: 8080", id="an unknown key"),
        pytest.param("port: 8080", "port: eighty", id="a wrong type"),
        pytest.param("retention: 14d", "retention: 14", id="a duration without its unit"),
        pytest.param("provider: stripe", "provider: strpe", id="an unknown provider"),
        pytest.param("- {env: STRIPE_SECRET}", "- inline", id="an inline secret"),
        pytest.param("  github:\n", "  Git_Hub:\n", id="a wrong name"),
        pytest.param("port: 8080", "port:", id="no value"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(tmp_path, old, new):
    text = VALID.replace(old, new)
    (tmp_path / "gateway.yaml").write_text(text)
    written = document.read(tmp_path / "gateway.yaml").tree

    assert not validator().is_valid(written)
    assert problems(tmp_path, text)


def test_the_committed_page_is_current():
    assert (ROOT / "docs/configuration.md").read_text() == page(), "run `make docs`"
