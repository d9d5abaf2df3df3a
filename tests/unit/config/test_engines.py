"""The log on Kafka and the store on Postgres: what reaches the settings, and what is refused with which words."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import load, read
from gateway.config.problems import ConfigProblems
from gateway.config.references import CREDENTIALS, DSN
from gateway.config.secret_values import secret_values
from gateway.config.settings import (
    KafkaSettings,
    LogSettings,
    OAuthSettings,
    SecuritySettings,
    StoreSettings,
    TopicSettings,
)
from gateway.config.show import effective
from tests.configuration import KAFKA, KAFKA_ENVIRON, loaded, problems

BROKERS = '[k1:9092, "[::1]:9093"]'
SMALLEST = """
log: {engine: kafka, bootstrap: "k1:9092"}
store: {engine: postgres, dsn: "host=db"}
sources: {github: {provider: github, secrets: [{env: GITHUB_SECRET}]}}
"""


def test_the_valid_configuration_has_no_mistakes(tmp_path):
    assert problems(tmp_path, KAFKA, KAFKA_ENVIRON) == []


def test_what_is_left_out_is_what_the_settings_say_by_default(tmp_path):
    settings = loaded(tmp_path, SMALLEST)

    assert settings.log == LogSettings(engine="kafka", kafka=KafkaSettings(bootstrap=("k1:9092",)))
    assert settings.store == StoreSettings(engine="postgres", dsn="host=db")


EVERY_KEY = """
log:
  engine: kafka
  bootstrap: [k1:9092, k2.internal:1]
  prefix: team.hooks
  path: /run/gw
  retention: 2d
  max_bytes: 1MB
  min_free: 2B
  max_queued_events: 3
  max_queued_bytes: 4B
  spool: /var/spool/gw
  topics: {partitions: 5, replication: 4, min_insync: 3}
  dedupe: {max_ids: 6, warm: 7m}
  security:
    tls: true
    ca: ca.pem
    cert: c.pem
    key: k.pem
    mechanism: OAUTHBEARER
    oauth: {token_url: "https://login.example/token", client_id: me, client_secret: {env: S}, scope: kafka}
store: {engine: postgres, dsn: {env: D}, connections: 8, marks: 30w}
sources: {github: {provider: github, secrets: [{env: GITHUB_SECRET}]}}
"""


def test_every_key_of_kafka_and_postgres_reaches_the_settings(tmp_path):
    settings = loaded(tmp_path, EVERY_KEY, {**KAFKA_ENVIRON, "S": "0042", "D": "host=db password=x"})

    oauth = OAuthSettings(token_url="https://login.example/token", client_id="me", client_secret="0042", scope="kafka")
    assert settings.log == LogSettings(
        engine="kafka",
        path=Path("/run/gw"),
        retention=172_800.0,
        max_bytes=1_000_000,
        min_free=2,
        max_queued_events=3,
        max_queued_bytes=4,
        kafka=KafkaSettings(
            bootstrap=("k1:9092", "k2.internal:1"),
            prefix="team.hooks",
            spool=Path("/var/spool/gw"),
            topics=TopicSettings(partitions=5, replication=4, min_insync=3),
            dedupe_max_ids=6,
            dedupe_warm=420.0,
            security=SecuritySettings(
                tls=True,
                ca=Path("ca.pem"),
                cert=Path("c.pem"),
                key=Path("k.pem"),
                mechanism="OAUTHBEARER",
                oauth=oauth,
            ),
        ),
    )
    assert settings.store == StoreSettings(
        engine="postgres", dsn="host=db password=x", connections=8, marks=30 * 7 * 86_400.0
    )


def test_postgres_may_keep_the_marks_of_the_embedded_log(tmp_path):
    text = SMALLEST.replace('{engine: kafka, bootstrap: "k1:9092"}', "{engine: sqlite}")

    assert problems(tmp_path, text) == []


@pytest.mark.parametrize("password", ["0042", "1e3", "true", "null", "~"])
def test_a_password_from_elsewhere_is_a_text_whatever_it_looks_like(tmp_path, password):
    settings = loaded(tmp_path, KAFKA, {**KAFKA_ENVIRON, "KAFKA_PASSWORD": password})

    assert settings.log.kafka is not None
    assert settings.log.kafka.security.password == password


@pytest.mark.parametrize(
    "written, expected",
    [
        pytest.param("k1:9092", ("k1:9092",), id="one"),
        pytest.param('"k1:9092, k2:9092"', ("k1:9092", "k2:9092"), id="in one text"),
        pytest.param("{env: BROKERS}", ("k3:1", "k4:2"), id="from the environment"),
        pytest.param("[{env: BROKER}, k2:9092]", ("k5:3", "k2:9092"), id="one of them from the environment"),
        pytest.param('"[2001:db8::1]:9092"', ("[2001:db8::1]:9092",), id="IPv6"),
    ],
)
def test_brokers_are_a_list_or_one_text(tmp_path, written, expected):
    settings = loaded(
        tmp_path, KAFKA.replace(BROKERS, written), {**KAFKA_ENVIRON, "BROKERS": "k3:1,k4:2", "BROKER": "k5:3"}
    )

    assert settings.log.kafka is not None
    assert settings.log.kafka.bootstrap == expected


@settings(deadline=None)
@given(odd=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_no_form_of_the_dsns_password_is_ever_shown(tmp_path_factory, odd):
    folder = tmp_path_factory.mktemp("shown")
    password = f"{odd}#canary"
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    environ = {**KAFKA_ENVIRON, "DATABASE_URL": f"host=db password='{quoted}'"}
    (folder / "gateway.yaml").write_text(KAFKA)

    found = read(folder / "gateway.yaml", environ)

    assert password in secret_values(found.settings)
    values = [str(each.value) for each in effective(found) if each.key == "store.dsn"]
    assert values in (["host=db password=***"], ["password=*** host=db"])
    assert "#canary" not in repr(found.settings)


def shown(folder: Path, text: str = KAFKA, environ: dict[str, str] = KAFKA_ENVIRON) -> dict[str, tuple[object, str]]:
    path = folder / "gateway.yaml"
    path.write_text(text)
    values = effective(read(path, environ, secrets=False, optional=CREDENTIALS))
    return {each.key: (each.value, each.origin.removeprefix(f"{folder}/")) for each in values}


def test_each_value_names_its_origin_below_kafka_too(tmp_path):
    found = shown(tmp_path)

    assert found["log.bootstrap"] == (["k1:9092", "[::1]:9093"], "gateway.yaml:3")
    assert found["log.security.tls"] == (True, "gateway.yaml:6")
    assert found["log.security.username"] == ("gw", "gateway.yaml:8")
    assert found["log.topics.partitions"] == (6, "gateway.yaml:10")
    assert found["log.topics.replication"] == (3, "default")
    assert found["log.dedupe.warm"] == ("15m", "default")
    assert found["log.max_bytes"] == ("20GiB", "default")
    assert found["store.connections"] == (10, "default")


def test_what_is_for_the_spool_is_not_shown_without_one(tmp_path):
    found = shown(tmp_path, KAFKA.replace("  spool: var/spool\n", ""))

    assert not {"log.max_bytes", "log.min_free"} & found.keys()


def test_credentials_are_masked(tmp_path):
    found = shown(tmp_path)

    assert found["log.security.password"] == ("***", "env KAFKA_PASSWORD")
    assert found["store.dsn"] == ("user=gw password=*** dbname=hooks host=db port=5433", "env DATABASE_URL")
    assert not any("canary" in str(each) for each in found.items())


def test_credentials_that_cannot_be_had_here_are_left_out_of_what_is_shown(tmp_path):
    found = shown(tmp_path, environ={})

    assert not {"log.security.password", "store.dsn"} & found.keys()
    assert found["log.security.mechanism"] == ("SCRAM-SHA-512", "gateway.yaml:7")


def test_a_machine_that_only_receives_need_not_know_the_database(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(KAFKA)
    without = {key: value for key, value in KAFKA_ENVIRON.items() if key != "DATABASE_URL"}

    assert load(path, without, optional=[DSN]).store.dsn is None
    with pytest.raises(ConfigProblems):
        load(path, without)


@pytest.mark.parametrize(
    "dsn, password",
    [
        pytest.param("postgresql://u:pa%2Fss%20word@h/d", "pa/ss word", id="escaped in a URL"),
        pytest.param("postgresql://h/d?user=u&password=in-the-query", "in-the-query", id="in the query"),
        pytest.param("host=h password='key value'", "key value", id="in pairs"),
        pytest.param("host=h sslpassword=of-the-key", "of-the-key", id="of the client's key"),
    ],
)
def test_secrets_of_a_configuration_are_known_in_each_form(tmp_path, dsn, password):
    settings = loaded(tmp_path, KAFKA, {**KAFKA_ENVIRON, "DATABASE_URL": dsn, "KAFKA_PASSWORD": "k&y"})

    found = secret_values(settings)

    assert {dsn, password, "k&y", "k%26y", "canary-github", "whsec_canary_stripe"} <= found


def test_a_client_secret_is_known_too(tmp_path):
    settings = loaded(tmp_path, KAFKA, KAFKA_ENVIRON)
    assert settings.log.kafka is not None
    oauth = OAuthSettings(token_url="https://l.example", client_id="me", client_secret="canary-oauth")
    security = replace(settings.log.kafka.security, oauth=oauth)
    kafka = replace(settings.log.kafka, security=security)

    assert "canary-oauth" in secret_values(replace(settings, log=replace(settings.log, kafka=kafka)))
    assert "canary" not in repr(security)
