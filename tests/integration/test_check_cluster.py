"""`gateway check` on Kafka and Postgres: what it sees of real ones, and what it says to do."""

import asyncio
import sys

import pytest

from gateway.cli import cluster_checks
from gateway.cli.cluster_checks import file_system
from gateway.config.topics import topic_plans
from gateway.keep.postgres import migrations
from tests.commands import Commands, folder_with_config, settings_of
from tests.kafka_rig import create_topics
from tests.postgres_rig import PASSWORD
from tests.running import free_port

pytestmark = pytest.mark.timeout(180)

CONFIG = """\
server: {{port: 0, admin_port: 0}}
log:
  engine: kafka
  bootstrap: "{bootstrap}"
  prefix: {prefix}
  topics: {{partitions: 2, replication: 1, min_insync: 1}}
  min_free: 1MiB
  spool: var/spool
store: {{engine: postgres, dsn: "{dsn}"}}
sources:
  acme:
    provider: custom
    secrets: [{{dev: canary-secret}}]
    scheme: {{signature: {{header: x-signature}}}}
    event: {{id: "json:id", type: "json:type", time: "json:at", key: "json:customer"}}
  hub: {{provider: github, secrets: [{{dev: canary-secret}}]}}
routers:
  billing: {{use: "billing_handlers:router"}}
"""


def configured(commands: Commands, *, bootstrap: str, dsn: str, prefix: str = "checked") -> None:
    text = CONFIG.format(bootstrap=bootstrap, dsn=dsn, prefix=prefix)
    (commands.folder / "config/gateway.yaml").write_text(text)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Commands:
    folder = folder_with_config(tmp_path / "gateway")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Commands(folder, capsys)


def checked(run: Commands) -> tuple[int, dict[str, dict[str, str]]]:
    ran = run("check", "--output", "jsonl")
    assert PASSWORD not in ran.out + ran.err
    return ran.status, {row["check"]: row for row in ran.rows}


def nobody() -> str:
    return f"127.0.0.1:{free_port()}"


def of_nobody() -> str:
    return f"postgresql://gateway:{PASSWORD}@{nobody()}/hooks"


def make_topics(run: Commands, bootstrap: str, **over: str) -> None:
    settings = settings_of(run.folder)
    assert settings.log.kafka is not None
    for plan in topic_plans(settings, settings.log.kafka):
        made = create_topics(bootstrap, plan.name, partitions=plan.partitions, config={**plan.settings, **over})
        asyncio.run(made)


def test_what_is_missing_is_told_with_the_command_that_makes_it(run, kafka, kafka_prefix, database):
    configured(run, bootstrap=kafka.bootstrap, dsn=database, prefix=kafka_prefix)

    status, found = checked(run)

    assert status == 1
    assert found["kafka"]["state"] == "ok"
    for name in ("events.acme", "events.hub", "seen"):
        row = found[f"topic {kafka_prefix}.{name}"]
        assert (row["state"], row["remedy"]) == ("failed", "run `gateway topics create`")
    assert (found["postgres"]["state"], found["postgres"]["remedy"]) == ("failed", "run `gateway store migrate`")


def test_what_is_as_it_must_be_passes(run, kafka, kafka_prefix, database):
    configured(run, bootstrap=kafka.bootstrap, dsn=database, prefix=kafka_prefix)
    make_topics(run, kafka.bootstrap)
    migrations.apply(database)

    status, found = checked(run)

    assert status == 0
    assert "failed" not in {row["state"] for row in found.values()}
    assert found["kafka"]["detail"] == f"{kafka.bootstrap}: brokers: 1"
    assert found["postgres"]["state"] == found["spool"]["state"] == found["log folder"]["state"] == "ok"


def test_a_setting_of_a_topic_that_loses_events_is_named(run, kafka, kafka_prefix, database):
    configured(run, bootstrap=kafka.bootstrap, dsn=database, prefix=kafka_prefix)
    make_topics(run, kafka.bootstrap, **{"retention.ms": "1000"})

    status, found = checked(run)

    assert status == 1
    row = found[f"topic {kafka_prefix}.events.acme"]
    assert row["state"] == "failed"
    assert "retention.ms is 1000" in row["detail"]
    assert "kafka-configs" in row["remedy"]


def test_nobody_there_is_told_for_each_with_where_to_look(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())

    status, found = checked(run)

    assert status == 1
    assert (found["kafka"]["state"], found["postgres"]["state"]) == ("failed", "failed")
    assert "log.bootstrap" in found["kafka"]["remedy"]
    assert found["postgres"]["remedy"]
    assert not any(name.startswith("topic") for name in found)


def change(run: Commands, old: str, new: str) -> None:
    config = run.folder / "config/gateway.yaml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def test_a_certificate_that_cannot_be_read_fails_before_anything_is_asked(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    change(run, "  min_free:", "  security: {tls: true, ca: none.pem}\n  min_free:")

    _, found = checked(run)

    assert "none.pem" in found["kafka"]["detail"]


def test_a_login_that_anyone_on_the_way_can_read_is_warned_of(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    change(run, "  min_free:", "  security: {mechanism: PLAIN, username: a, password: canary-of-postgres}\n  min_free:")

    _, found = checked(run)

    assert found["kafka login"]["state"] == "warning"


def test_without_a_spool_the_senders_that_never_repeat_are_named(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    change(run, "  min_free: 1MiB\n  spool: var/spool\n", "")

    _, found = checked(run)

    assert found["spool"]["state"] == "warning"
    assert found["spool"]["detail"].endswith(": hub")


def test_without_a_spool_and_with_senders_that_repeat_nothing_is_said_of_it(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    change(run, "  min_free: 1MiB\n  spool: var/spool\n", "")
    change(run, "provider: github", "provider: stripe")

    _, found = checked(run)

    assert "spool" not in found


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param("spool: var/spool", "spool: /proc/none", id="that cannot be made"),
        pytest.param("min_free: 1MiB", "min_free: 900000TiB", id="on a full disk"),
    ],
)
def test_a_folder_for_the_spool_that_holds_nothing_is_told(run, old, new):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    change(run, old, new)

    _, found = checked(run)

    assert found["spool"]["state"] == "failed"
    assert found["spool"]["remedy"]


def test_what_the_spool_set_aside_is_named(run):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    aside = run.folder / "var/spool/1/set-aside"
    aside.mkdir(parents=True)
    for name in ("7.head", "7.body", "9.body", "9.head"):
        (aside / name).write_bytes(b"")

    _, found = checked(run)

    assert found["spool set-aside"]["state"] == "warning"
    assert (
        found["spool set-aside"]["detail"] == "var/spool/1/set-aside has 2 acknowledged events that could not be read"
    )
    assert found["spool"]["state"] == "ok"


def test_a_spool_in_memory_is_warned_of(run, monkeypatch):
    configured(run, bootstrap=nobody(), dsn=of_nobody())
    mounts = run.folder / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\ntmpfs {run.folder.resolve()}/var tmpfs rw 0 0\n")
    monkeypatch.setattr(cluster_checks, "_MOUNTS", mounts)

    _, found = checked(run)

    assert found["spool"]["state"] == "warning"
    assert "tmpfs" in found["spool"]["detail"]
    assert "mount a volume" in found["spool"]["remedy"]


MOUNTS = """\
overlay / overlay rw,relatime 0 0
proc /proc proc rw 0 0
/dev/vdb /var/lib ext4 rw 0 0
tmpfs /var/lib/my\\040spool tmpfs rw 0 0
/dev/vdc /data xfs rw 0 0
tmpfs /data tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    "path, kind",
    [
        pytest.param("/srv/spool", "overlay", id="a container's own layer"),
        pytest.param("/var/lib/spool", "ext4", id="a volume"),
        pytest.param("/var/library", "overlay", id="beside the volume, with its name's beginning"),
        pytest.param("/var/lib/my spool/x", "tmpfs", id="a name with a space"),
        pytest.param("/data/x", "tmpfs", id="mounted over"),
    ],
)
def test_the_kind_of_disk_is_that_of_the_nearest_mount(tmp_path, path, kind):
    assert file_system(MOUNTS, tmp_path.joinpath(path)) == kind
