"""Shared by the fault tests on Kafka."""

import logging
from pathlib import Path

import pytest

from tests.kafka_fault_rig import Deployment
from tests.kafka_rig import KafkaCluster

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our own clients have much to say of what we break


@pytest.fixture
def deployment(tmp_path: Path, kafka_cluster: KafkaCluster, migrated_database: str) -> Deployment:
    """Topics and a database of the test's own, on the three brokers behind their proxies."""
    made = Deployment(tmp_path, kafka_cluster, migrated_database)
    made.create_topics()
    return made
