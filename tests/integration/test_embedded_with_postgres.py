"""Marks and handlers' tables in Postgres beside the embedded log (design 6.5), with real processes."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fault_rig import accept, effects, rows, stripe
from tests.running import RunningGateway, running, until

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, admin_port: {admin_port}}}
log: {{engine: sqlite, path: var, min_free: 1MiB}}
store: {{engine: postgres, dsn: "DSN"}}
sources:
  stripe: {{provider: stripe, secrets: [{{env: TEST_STRIPE_SECRET}}]}}
routers:
  ledger: {{use: "ledger_handlers:router"}}
"""


@pytest.fixture
def gateway(tmp_path: Path, migrated_database: str) -> Iterator[RunningGateway]:
    with running(tmp_path, config=CONFIG.replace("DSN", migrated_database)) as started:
        yield started


def asked(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql.encode()).fetchall()


def test_effects_and_marks_are_in_postgres_and_the_cursor_stays_beside_the_log(
    gateway: RunningGateway, migrated_database: str
) -> None:
    accept(gateway, *(stripe(f"evt_{number}") for number in range(20)))

    until(lambda: len(asked(migrated_database, "select id from effect")) == 20, what="the effects")

    assert len(asked(migrated_database, "select 1 from gateway.mark")) == 20
    state = gateway.log_path / "state" / "ledger.db"
    until(lambda: rows(state, "select offset from gateway_cursor") == [(20,)], what="the cursor")
    assert rows(state, "select count(*) from gateway_mark") == [(0,)]
    assert effects(gateway) == []


def test_a_killed_worker_repeats_no_effect(gateway: RunningGateway, migrated_database: str) -> None:
    accept(gateway, *(stripe(f"evt_{number}", key=f"in_{number}") for number in range(300)))
    until(lambda: asked(migrated_database, "select id from effect"), what="the first effects")

    gateway.kill("worker:ledger")

    until(lambda: len(asked(migrated_database, "select distinct id from effect")) == 300, what="all effects")
    assert len(asked(migrated_database, "select id from effect")) == 300


def test_a_start_without_the_tables_says_what_to_do(tmp_path: Path, database: str) -> None:
    stopped = RunningGateway(tmp_path, config=CONFIG.replace("DSN", database))

    said = stopped.command("run", "--config", "gateway.yaml")

    assert said.returncode == 3
    assert "gateway store migrate" in said.stderr
