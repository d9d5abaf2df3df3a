"""The rigs that other tests stand on: real servers that can be broken and mended, and none left behind."""

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local.postgres import check_entry
from deploy.local.processes import Server, ServerError, free_ports
from tests.kafka_rig import Kafka, KafkaCluster, create_topics
from tests.postgres_rig import PASSWORD, PostgresServer
from tests.running import until
from tests.tcp_proxy import PRODUCE

_Producer: Any = AIOKafkaProducer  # it has no types
_Consumer: Any = AIOKafkaConsumer
ROOT = Path(__file__).parents[2]
WAITS = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DIES_BESIDE_ITS_SERVER = """
import os, signal, sys
from pathlib import Path
from deploy.local.processes import Server

output = Path(sys.argv[1])
server = Server(sys.argv[2:], output=output)
server.start(lambda: output.read_text() == "up\\n", deadline=30)
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    """Append to partition 0; each is acknowledged."""
    producer = _Producer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=30_000)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def stored(bootstrap: str, topic: str) -> list[bytes]:
    """Return all that is in partition 0."""
    place = TopicPartition(topic, 0)
    consumer = _Consumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        found: list[bytes] = []
        while await consumer.position(place) < end:
            records = await consumer.getmany(place, timeout_ms=30_000)
            found += [record.value for record in records.get(place, [])]
        return found
    finally:
        await consumer.stop()


def alive(pid: int) -> bool:
    """Return whether a process lives; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestServer:
    def test_a_server_dies_with_whoever_started_it(self, tmp_path):
        command = [sys.executable, "-c", DIES_BESIDE_ITS_SERVER, str(tmp_path / "output"), *WAITS]

        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

        pid = int(ran.stdout)
        until(lambda: not alive(pid), what="the end of the orphan")

    def test_a_server_that_ends_at_its_start_shows_what_it_wrote(self, tmp_path):
        server = Server([sys.executable, "-c", "import sys; sys.exit('no such key: x')"], output=tmp_path / "output")

        with pytest.raises(ServerError, match=r"(?s)ended with status 1.*no such key: x"):
            server.start(lambda: False, deadline=30)

    def test_a_server_that_does_not_get_ready_is_not_left_running(self, tmp_path):
        server = Server(WAITS, output=tmp_path / "output")

        with pytest.raises(ServerError, match=r"not ready within 0\.2 s"):
            server.start(lambda: False, deadline=0.2)

        assert not server.running

    def test_a_server_that_ignores_the_request_to_end_is_killed(self, tmp_path):
        deaf = (
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
        )
        output = tmp_path / "output"
        server = Server([sys.executable, "-c", deaf], output=output)
        server.start(lambda: output.read_text() == "1\n", deadline=30)

        server.stop(deadline=0.1)

        assert not server.running

    def test_free_ports_are_free_and_no_outgoing_connection_takes_them(self):
        ports = free_ports(20)

        assert len(set(ports)) == 20
        assert max(ports) < 32_768
        for port in ports:
            socket.create_server(("127.0.0.1", port)).close()


class TestKafka:
    @pytest.mark.parametrize("end", [Kafka.kill, Kafka.stop])
    async def test_a_broker_that_ended_starts_again_on_what_it_acknowledged(self, kafka: Kafka, kafka_prefix, end):
        topic = f"{kafka_prefix}.events"
        await create_topics(kafka.bootstrap, topic)
        await produce(kafka.bootstrap, topic, b"one", b"two")

        end(kafka)
        assert not kafka.answers(within=1)
        kafka.mend()

        assert await stored(kafka.bootstrap, topic) == [b"one", b"two"]

    def test_a_frozen_broker_answers_again_once_it_is_thawed(self, kafka: Kafka, kafka_prefix):
        kafka.freeze()
        assert not kafka.answers(within=0.5)

        kafka.thaw()

        assert kafka.answers(within=30)


class TestKafkaCluster:
    async def test_a_record_outlives_the_broker_that_led(self, kafka_cluster: KafkaCluster):
        await create_topics(kafka_cluster.bootstrap, "outlives")
        await produce(kafka_cluster.bootstrap, "outlives", b"one")
        leader = await kafka_cluster.leader("outlives")
        others = [one for one in kafka_cluster.brokers if one is not leader]

        leader.kill()
        until(lambda: all(leader.node.id not in one.living() for one in others), deadline=60)

        bootstrap = ",".join(one.bootstrap for one in others)
        await produce(bootstrap, "outlives", b"two")
        assert await stored(bootstrap, "outlives") == [b"one", b"two"]

    async def test_clients_come_over_proxies_that_can_be_broken(self, kafka_cluster: KafkaCluster):
        await create_topics(kafka_cluster.bootstrap, "proxied")
        leader = await kafka_cluster.leader("proxied")

        kafka_cluster.proxy_of(leader).refuse()

        assert leader.answers(within=30), "the broker itself is well"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", leader.node.advertised_port), timeout=5)

    async def test_a_lost_answer_leaves_the_record_in_the_log(self, kafka_cluster: KafkaCluster):
        await create_topics(kafka_cluster.bootstrap, "lost")
        proxy = kafka_cluster.proxy_of(await kafka_cluster.leader("lost"))
        cuts = proxy.cuts
        proxy.lose_answer(PRODUCE)

        await produce(kafka_cluster.bootstrap, "lost", b"one")  # aiokafka sends it again by itself

        assert proxy.cuts == cuts + 1
        assert await stored(kafka_cluster.bootstrap, "lost") == [b"one", b"one"]


class TestPostgres:
    def test_a_database_is_empty_and_not_the_superusers(self, database):
        with psycopg.connect(database) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname !~ '^pg_|^information_'")
            superuser = connection.execute("select rolsuper from pg_roles where rolname = current_user")

            assert tables.fetchall() == []
            assert superuser.fetchone() == (False,)

    def test_a_migrated_database_has_the_gateways_tables(self, migrated_database):
        with psycopg.connect(migrated_database) as connection:
            assert connection.execute("select count(*) from gateway.mark").fetchone() == (0,)

    def test_two_tests_do_not_share_a_database(self, postgres: PostgresServer, database):
        with psycopg.connect(database) as connection:
            connection.execute("create table mine (id integer)")

        with postgres.fresh() as other, psycopg.connect(other) as connection:
            assert connection.execute("select to_regclass('mine')").fetchone() == (None,)

    def test_a_wrong_password_is_refused(self, database):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(database.replace(PASSWORD, "wrong"))

    def test_a_killed_server_starts_again_on_what_was_committed(self, postgres: PostgresServer, database):
        with psycopg.connect(database) as connection:
            connection.execute("create table mine (id integer)")

        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(database, connect_timeout=5)
        postgres.start()

        with psycopg.connect(database) as connection:
            assert connection.execute("select count(*) from mine").fetchone() == (0,)

    def test_a_frozen_server_answers_again_once_it_is_thawed(self, postgres: PostgresServer, database):
        with psycopg.connect(database, autocommit=True) as connection:
            postgres.freeze()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(database, connect_timeout=2)  # the least that libpq waits

            postgres.thaw()

            assert connection.execute("select 1").fetchone() == (1,)
            assert postgres.answers()

    def test_a_database_in_use_is_removed_all_the_same(self, postgres: PostgresServer):
        with postgres.fresh() as dsn:
            connection = psycopg.connect(dsn)

        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")


def test_a_folder_that_the_servers_user_cannot_enter_is_named_with_the_remedy(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    closed, data = tmp_path / "closed", tmp_path / "closed" / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)

    check_entry(data, (os.geteuid(), os.getegid()))
    with pytest.raises(ServerError, match=r"user nobody, .* may not enter .*; run this as another user .* chmod o[+]x"):
        check_entry(data, (nobody.pw_uid, nobody.pw_gid))
