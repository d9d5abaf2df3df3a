"""Which processes `run` and `work` start on Kafka, as the admin endpoint tells."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.running import RunningGateway, until

pytestmark = pytest.mark.timeout(300)

CONFIG = """
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}}}}}
log:
  engine: kafka
  bootstrap: "{bootstrap}"
  prefix: {prefix}
  path: var
  topics: {{{{partitions: 2, replication: 1, min_insync: 1}}}}
store: {{{{engine: postgres, dsn: "{dsn}"}}}}
sources:
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}]}}}}
routers:
  ledger: {{{{use: "ledger_handlers:router"}}}}
"""


def answering(gateway: RunningGateway) -> set[str]:
    """Return the processes that answer, or nothing while one of them does not."""
    assert gateway.process is not None
    assert gateway.process.poll() is None, gateway.output.read_text()
    try:
        _, text = gateway.admin("/metrics")
    except OSError:
        return set()
    up = [family for family in text_string_to_metric_families(text) if family.name == "gateway_up"]
    found = {sample.labels["process"]: sample.value for family in up for sample in family.samples}
    return set(found) if all(found.values()) else set()


@pytest.fixture
def config(tmp_path: Path, kafka, kafka_prefix, migrated_database) -> str:
    text = CONFIG.format(bootstrap=kafka.bootstrap, prefix=kafka_prefix, dsn=migrated_database)
    made = RunningGateway(tmp_path, config=text).command("topics", "create", "--config", "gateway.yaml")
    assert made.returncode == 0, made.stderr
    return text


@pytest.mark.parametrize(
    "words, processes",
    [
        pytest.param("run", {"edge", "worker:ledger", "indexer"}, id="everything"),
        pytest.param("work", {"worker:ledger", "indexer"}, id="all that handles"),
        pytest.param("work --router ledger", {"worker:ledger"}, id="one router"),
        pytest.param("work --indexer", {"indexer"}, id="the indexer"),
        pytest.param("work --indexer --router ledger", {"worker:ledger", "indexer"}, id="both by name"),
    ],
)
def test_each_command_runs_its_processes_and_ends_them(tmp_path, config, words, processes):
    gateway = RunningGateway(tmp_path, config=config, words=words)
    try:
        gateway.start(wait=False)
        found = until(lambda: answering(gateway), deadline=60.0)
        assert found == {"supervisor", *processes}
        assert gateway.stop() == 0
    finally:
        gateway.end()
