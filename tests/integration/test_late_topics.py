"""The topics of a cluster that was not there when the edge started."""

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.config.settings import Settings
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.wiring import cluster
from tests.commands import folder_with_config, settings_of
from tests.integration.test_check_cluster import CONFIG
from tests.kafka_rig import Kafka
from tests.log_builders import until
from tests.running import free_port

pytestmark = pytest.mark.timeout(180)


def settings_for(folder: Path, *, bootstrap: str, prefix: str) -> Settings:
    text = CONFIG.format(bootstrap=bootstrap, prefix=prefix, dsn="postgresql://nobody@127.0.0.1/none")
    return settings_of(folder_with_config(folder, text))


async def test_what_is_wrong_with_them_is_said_once_the_cluster_answers(
    tmp_path: Path,
    kafka: Kafka,
    kafka_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    absent = settings_for(tmp_path / "absent", bootstrap=f"127.0.0.1:{free_port()}", prefix=kafka_prefix)
    there = settings_for(tmp_path / "there", bootstrap=kafka.bootstrap, prefix=kafka_prefix)
    asked: list[Cluster] = []

    def first_absent(found: Cluster) -> object:
        asked.append(found)
        return client_arguments(cluster.cluster_of(absent if len(asked) == 1 else there, process="test"))

    monkeypatch.setattr("gateway.wiring.cluster.client_arguments", first_absent)
    monkeypatch.setattr("gateway.wiring.cluster._LOOK_SECONDS", 0.01)
    with caplog.at_level(logging.ERROR, "gateway.process"):
        looking = asyncio.create_task(cluster.look_at_topics(absent, "edge"))
        await until(looking.done, "the look", deadline=60)

    await looking
    assert len(asked) == 2
    told = [str(vars(record)["cause"]) for record in caplog.records if record.message == "topic.wrong"]
    assert [text.split(":")[0] for text in told] == [
        f"topic {kafka_prefix}.events.acme",
        f"topic {kafka_prefix}.events.hub",
        f"topic {kafka_prefix}.seen",
    ]
    assert all("gateway topics create" in text for text in told)
