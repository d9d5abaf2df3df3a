"""Readmission on Kafka: one of several edges stores through its own log, and what is in quarantine is all edges'."""

import json
import time
from pathlib import Path

import pytest

from tests.quarantine_rig import body_of, ids, make, put, signed
from tests.running import RunningGateway, until
from tests.sender import STRIPE_SECRET

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
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}], quarantine: {{{{}}}}}}}}
"""


def kept(gateway: RunningGateway, number: int) -> None:
    at_us, body = time.time_ns() // 1000, body_of(f"evt_{number}")
    headers = tuple(signed(body, at_us, STRIPE_SECRET))
    put(gateway.log_path, make(number, source="stripe", at_us=at_us, body=body, headers=headers))


def readmitted(gateway: RunningGateway) -> list[str]:
    ran = gateway.command(*["quarantine", "readmit", "stripe", "--config", "gateway.yaml", "--output", "jsonl"])
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line)["outcome"] for line in ran.stdout.splitlines()]


def test_what_is_in_quarantine_is_readmitted_through_kafka(tmp_path: Path, kafka, kafka_prefix, migrated_database):
    config = CONFIG.format(bootstrap=kafka.bootstrap, prefix=kafka_prefix, dsn=migrated_database)
    gateway = RunningGateway(tmp_path, config=config, words="serve --workers 2")
    assert gateway.command("topics", "create", "--config", "gateway.yaml").returncode == 0
    try:
        gateway.start(wait=False)
        until(gateway.ready, deadline=90.0, what="readiness")
        kept(gateway, 1)
        kept(gateway, 2)

        first = readmitted(gateway)
        kept(gateway, 1)
        again = readmitted(gateway)

        assert (first, again) == (["accepted", "accepted"], ["duplicate"])
        assert ids(gateway.log_path, "stripe") == []
        told = gateway.admin("/metrics")[1]
        assert 'gateway_quarantine_readmitted_total{outcome="accepted",source="stripe"} 2.0' in told
    finally:
        gateway.end()
